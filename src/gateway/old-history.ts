/**
 * After the database went back in time, seqs are given out again. A connection that has not loaded a room since then knows
 * the messages of the old history: the seq that it names may be another message by now. So the command is refused before it
 * changes or shows that one. The refusal is final, since the same command means another message once the room is loaded.
 */
import type { CommandName } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';

export type SeqField = 'seq' | 'root' | 'replyTo';

/** Where each of these commands names a message. */
export const namedBy: Partial<Record<CommandName, SeqField>> = {
  'message:send': 'replyTo',
  'message:edit': 'seq',
  'message:delete': 'seq',
  'message:versions': 'seq',
  'message:pin': 'seq',
  'message:unpin': 'seq',
  'reaction:add': 'seq',
  'reaction:remove': 'seq',
  'thread:follow': 'root',
  'thread:unfollow': 'root',
  'thread:read': 'root',
  'thread:history': 'root',
};

/** These name a mark and no message: handlers take a mark of the old history for none. */
export const marks: ReadonlySet<CommandName> = new Set(['read', 'delivered']);

/** @param stale rooms that the connection has not loaded since the database went back in time */
export function refuseOldSeq(stale: ReadonlySet<string>, field: SeqField, input: unknown): void {
  const { room, [field]: seq } = input as { room: string } & Partial<Record<SeqField, number>>;
  if (seq === undefined || !stale.has(room)) return;
  throw new ParleyError(
    'not_found',
    `${field}: the database went back in time, and ${seq} may be another message now; load the room first.`,
  );
}
