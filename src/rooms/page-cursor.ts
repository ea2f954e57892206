/**
 * The cursors of pages: where a page ended. Opaque to clients. A client may keep a cursor over an update of the server, so
 * the bytes of a form never change.
 */
import { z } from 'zod';
import { ParleyError } from '../protocol/errors.ts';
import { instant, roomId } from '../protocol/model.ts';

export interface CursorCodec<T> {
  encode(position: T): string;
  /** @throws {ParleyError} `invalid` */
  decode(cursor: string): T;
}

/** A message in the order of time: messages of the same instant differ by room and seq. */
export interface MessagePosition {
  readonly at: number;
  readonly room: string;
  readonly seq: number;
}

/** A channel in the order of names. */
export interface ChannelPosition {
  readonly key: string;
  readonly id: string;
}

/**
 * Base64url of a text.
 * @param field of the command's input, for the error
 * @param read returns undefined for a text that `write` never makes
 */
function cursorCodec<T>(
  field: string,
  write: (position: T) => string,
  read: (text: string) => T | undefined,
): CursorCodec<T> {
  return {
    encode: (position) => Buffer.from(write(position)).toString('base64url'),
    decode(cursor) {
      const position = read(Buffer.from(cursor, 'base64url').toString('utf8'));
      if (position === undefined) throw new ParleyError('invalid', `${field}: not a cursor of this command.`);
      return position;
    },
  };
}

/** The JSON of a text, by a schema. */
function readJson<T>(schema: z.ZodType<T>, text: string): T | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

const messageParts = z.tuple([instant, roomId, z.int()]);
// Postgres takes no NUL
const channelParts = z.tuple([
  z
    .string()
    .max(400)
    .refine((key) => !key.includes('\0')),
  roomId,
]);

/** For `mentions` and `thread:list`. */
export const pageCursor = cursorCodec<MessagePosition>(
  'before',
  ({ at, room, seq }) => `${at} ${seq} ${room}`,
  (text) => {
    const [, at, seq, room] = /^(\d{1,15}) (\d{1,15}) (.+)$/.exec(text) ?? [];
    const { data } = messageParts.safeParse([Number(at), room, Number(seq)]);
    return data && { at: data[0], room: data[1], seq: data[2] };
  },
);

/** For `search`. */
export const hitCursor = cursorCodec<MessagePosition>(
  'cursor',
  ({ at, room, seq }) => JSON.stringify([at, room, seq]),
  (text) => {
    const parts = readJson(messageParts, text);
    return parts && { at: parts[0], room: parts[1], seq: parts[2] };
  },
);

/** For `room:search`. */
export const channelCursor = cursorCodec<ChannelPosition>(
  'after',
  ({ key, id }) => JSON.stringify([key, id]),
  (text) => {
    const parts = readJson(channelParts, text);
    return parts && { key: parts[0], id: parts[1] };
  },
);
