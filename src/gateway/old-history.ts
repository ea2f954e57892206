/**
 * After the database went back in time, seqs are given out again. A connection that has not loaded a room since then knows
 * the messages of the old history: the seq that it names may be another message by now. So the command is refused before it
 * changes or shows that one. The refusal is final, since the same command means another message once the room is loaded.
 */
import type { CommandSchema } from '../protocol/command-schema.ts';
import { ParleyError } from '../protocol/errors.ts';

export type SeqField = NonNullable<CommandSchema['message']>;

/** @param stale rooms that the connection has not loaded since the database went back in time */
export function refuseOldSeq(stale: ReadonlySet<string>, field: SeqField, input: unknown): void {
  const { room, [field]: seq } = input as { room: string } & Partial<Record<SeqField, number>>;
  if (seq === undefined || !stale.has(room)) return;
  throw new ParleyError(
    'not_found',
    `${field}: the database went back in time, and ${seq} may be another message now; load the room first.`,
  );
}
