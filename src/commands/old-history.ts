/**
 * After the database went back in time, seqs are given out again. A connection that has not loaded a room since then knows
 * the messages of the old history: the seq that it names may be another message by now. So the command is refused before it
 * changes or shows that one. The refusal is final, since the same command means another message once the room is loaded.
 * Declarations say which field of an input names a message, and which one is a mark.
 */
import type { CommandSchema } from '../protocol/command-schema.ts';
import { ParleyError } from '../protocol/errors.ts';

export interface SeqFields {
  readonly message: CommandSchema['message'] | undefined;
  readonly mark: CommandSchema['mark'] | undefined;
}

type Named = { readonly room: string } & Readonly<Partial<Record<'seq' | 'root' | 'replyTo', number>>>;

/**
 * @param stale rooms that the connection has not loaded since the database went back in time
 * @returns the input, with a mark of the old history as none: it moves nothing, and the answer says where the mark stands
 * @throws {ParleyError} `not_found` if the input names a message of the old history
 */
export function withoutOldSeqs(stale: ReadonlySet<string>, { message, mark }: SeqFields, input: unknown): unknown {
  if (message === undefined && mark === undefined) return input;
  const named = input as Named;
  if (!stale.has(named.room)) return input;
  const seq = message === undefined ? undefined : named[message];
  if (seq !== undefined) {
    throw new ParleyError(
      'not_found',
      `${message}: the database went back in time, and ${seq} may be another message now; load the room first.`,
    );
  }
  return mark === undefined ? input : { ...named, [mark]: 0 };
}

/** An epoch that no database has: a page that is asked for under it is answered `reset`. */
export const ofNoEpoch = '00000000-0000-0000-0000-000000000000';

/** The cursors, with those of the old history beyond every head: their rooms are answered `reset`. */
export function beyondEveryHead<C extends Readonly<Record<string, number>>>(cursors: C, old: readonly string[]): C {
  return { ...cursors, ...Object.fromEntries(old.map((room) => [room, Number.MAX_SAFE_INTEGER])) };
}
