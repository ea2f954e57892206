/**
 * After the database went back in time, its messages get seqs that other messages had before. A connection that has not
 * loaded a room since then knows the old history, so a seq in its command may be another message now. The
 * command is refused before it changes or shows that message. The refusal is final: once the room is loaded, the same
 * command means another message. Declarations name the field of an input that is a message, and the field that is a mark.
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
 * @returns the input, with 0 for a mark of the old history: the mark does not move, and the answer has its present value
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

/** An epoch that no database has. A page of this epoch is answered with `reset`. */
export const ofNoEpoch = '00000000-0000-0000-0000-000000000000';

/** The cursors, with cursors of the old history beyond every head: their rooms are answered with `reset`. */
export function beyondEveryHead<C extends Readonly<Record<string, number>>>(cursors: C, old: readonly string[]): C {
  return { ...cursors, ...Object.fromEntries(old.map((room) => [room, Number.MAX_SAFE_INTEGER])) };
}
