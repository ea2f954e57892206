/** The words of a search for channels, as `search_parse` (migrations/0014) takes them. */
import { ParleyError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';

/** The words of a query, without the operators of `search_parse`. Empty: no channel can match. */
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
