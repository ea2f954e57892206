/** Where a page by time ended: what has the same instant is told apart by room and number. Opaque to clients. */
import { ParleyError } from '../protocol/errors.ts';
import { instant, roomIdPattern } from '../protocol/model.ts';

export interface PageCursor {
  readonly at: number;
  readonly room: string;
  readonly seq: number;
}

export function encodeCursor({ at, room, seq }: PageCursor): string {
  return Buffer.from(`${at} ${seq} ${room}`).toString('base64url');
}

/** @throws {ParleyError} `invalid` */
export function decodeCursor(text: string): PageCursor {
  const [, at, seq, room = ''] = /^(\d{1,15}) (\d{1,15}) (.+)$/.exec(Buffer.from(text, 'base64url').toString()) ?? [];
  const moment = instant.safeParse(Number(at));
  if (!moment.success || !roomIdPattern.test(room)) throw new ParleyError('invalid', 'before: no cursor of ours.');
  return { at: moment.data, room, seq: Number(seq) };
}
