/**
 * The lines of a stream of a room: one JSON object a line. `message` is new in the stream. `updated` is a message that the
 * stream has had, or that is older than the stream, in its present state. The other changes are as the events of these names.
 */
import { z } from 'zod';
import { events } from './events.ts';
import { message, rev } from './model.ts';

const lastSeq = z.int().min(0);

export const streamLine = z.discriminatedUnion('type', [
  z.object({ type: z.literal('message'), rev, message }),
  z.object({ type: z.literal('updated'), rev, message }),
  z.object({ type: z.literal('deleted'), rev, change: events['message:deleted'].data }),
  z.object({ type: z.literal('reaction'), rev, change: events.reaction.data }),
  z.object({ type: z.literal('pin'), rev, change: events.pin.data }),
  z.object({ type: z.literal('purged'), rev, change: events['room:purged'].data }),
  z.object({
    type: z.literal('heartbeat'),
    rev: rev.describe('every change up to this rev is in the stream'),
    seq: lastSeq.describe('the last message of the stream'),
  }),
  z.object({
    type: z.literal('end'),
    code: z.string().describe('the code of the error that ended the stream, or `reset`'),
    message: z.string(),
    after: lastSeq.describe('pass as `after` to resume'),
    rev: rev.describe('pass as `rev` to resume with the changes of earlier messages'),
  }),
]);

export type StreamLine = z.output<typeof streamLine>;
type Changed = 'message' | 'updated' | 'deleted' | 'reaction' | 'pin' | 'purged';

const typeOf: Readonly<Record<string, Changed>> = {
  message: 'message',
  'message:updated': 'updated',
  'message:deleted': 'deleted',
  reaction: 'reaction',
  pin: 'pin',
  'room:purged': 'purged',
};

/** @param at the rev @param json the data of the event. @returns undefined for an event that streams do not have */
export function eventLine(event: string, at: number, json: string): string | undefined {
  const type = typeOf[event];
  return type === undefined ? undefined : changeLine(type, at, json);
}

/** @param at the rev @param json the message, or the data of the event */
export function changeLine(type: Changed, at: number, json: string): string {
  const field = type === 'message' || type === 'updated' ? 'message' : 'change';
  return `{"type":"${type}","rev":${at},"${field}":${json}}\n`;
}

/** A line that no text of a sender is in. */
export function ownLine(line: Extract<StreamLine, { readonly type: 'heartbeat' | 'end' }>): string {
  return `${JSON.stringify(line)}\n`;
}
