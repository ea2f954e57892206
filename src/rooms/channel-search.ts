/** What is asked of `room_words` (migrations/0005), and where a page of the answer ends. */
import { z } from 'zod';
import { ParleyError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { roomId } from '../protocol/model.ts';

/** The words of a query, without what `search_parse` (migrations/0014) reads as more than words. Empty: nothing can be found. */
export function wordsOf(query: string): string {
  const words = query.split(/[\s!-/:-@[-`{-~]+/).filter((word) => word !== '');
  return words.join(' ');
}

/** @throws {ParleyError} `invalid` for a query that Postgres reads as more words than it compares. */
export function requireSize(size: number): void {
  if (size > limits.searchWords) {
    throw new ParleyError('invalid', `query: at most ${limits.searchWords} words and operators.`);
  }
}

const position = z.tuple([z.string().max(400), roomId]);

export function writeCursor({ key, id }: { key: string; id: string }): string {
  return Buffer.from(JSON.stringify([key, id])).toString('base64url');
}

/** @throws {ParleyError} `invalid` */
export function readCursor(cursor: string): { key: string; id: string } {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    value = undefined;
  }
  const parsed = position.safeParse(value);
  // Postgres takes no NUL
  if (!parsed.success || parsed.data[0].includes('\0'))
    throw new ParleyError('invalid', 'after: not a cursor of ours.');
  const [key, id] = parsed.data;
  return { key, id };
}
