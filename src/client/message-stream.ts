/** A room's messages as a value that changes, and as a sequence that goes on. */
import type { Message } from '../protocol/model.ts';
import { delayBefore, resendBackoff } from './backoff.ts';
import { asParleyError } from './failure.ts';
import type { Readable } from './readable.ts';
import type { RoomState } from './room.ts';

/**
 * `value` and `subscribe` give the whole list: in order, without a gap, up to the newest, each message in its present
 * state. Iterating gives each message once, in the state it has then: first those in the list, then those that come. It
 * waits while there are none, over lost connections too; ends when the room is released or the client closed; and throws
 * the room's error when the room is gone.
 */
export interface MessageStream extends Readable<readonly Message[]>, AsyncIterable<Message> {
  /** The same from the first message behind `seq` on, from history if need be: for programs that remember where they were. */
  after(seq: number): AsyncIterable<Message>;
}

/** @param page the first messages behind a seq, from the server */
export function messageStream(
  state: Readable<RoomState>,
  page: (seq: number) => Promise<readonly Message[]>,
): MessageStream {
  async function* iterate(from?: number): AsyncGenerator<Message, void> {
    let last = from;
    let before: readonly Message[] = [];
    for (let failures = 0; ;) {
      const { status, messages, error } = state.value;
      if (status === 'gone' && error !== undefined) throw error;
      if (status === 'closed') return;
      const first = messages[0]?.seq;
      if (status === 'ready') last ??= (first ?? 1) - 1;
      // What was given last is another message now, or none: the history went back. On from the first that was not held.
      const at = before.at(-1);
      const newest = messages.at(-1);
      if (
        status === 'ready' &&
        first !== undefined &&
        at !== undefined &&
        newest !== undefined &&
        at.seq >= first &&
        messages[at.seq - first]?.id !== at.id
      ) {
        const ids = new Set(before.map(({ id }) => id));
        const start = before[0]?.seq ?? 0;
        last = (messages.find(({ id, seq }) => seq >= start && !ids.has(id))?.seq ?? newest.seq + 1) - 1;
      }
      const next = first === undefined || last === undefined ? undefined : messages[last + 1 - first];
      if (next !== undefined) {
        last = next.seq;
        before = messages.slice(0, last + 1 - (first ?? 1));
        yield next;
      } else if (status !== 'ready' || first === undefined || last === undefined || first <= last + 1) {
        await new Promise<void>((resolve) => {
          const stop = state.subscribe(() => {
            stop();
            resolve();
          });
        });
      } else {
        // The list begins further on: it was begun anew after a long absence, or it was asked to start earlier.
        try {
          const older: readonly Message[] = await page(last);
          for (const message of older) {
            last = message.seq;
            yield message;
          }
          // What was there once is not kept any more.
          if (older.length === 0) last = first - 1;
          failures = 0;
        } catch (thrown) {
          const failure = asParleyError(thrown);
          if (!failure.retryable) throw failure;
          const delay = delayBefore(failures++, resendBackoff, failure.retryAfter);
          await new Promise((resolve) => setTimeout(resolve, delay));
        }
      }
    }
  }
  return {
    get value() {
      return state.value.messages;
    },
    subscribe(listener) {
      let told = state.value.messages;
      return state.subscribe(({ messages }) => {
        if (messages !== told) listener((told = messages));
      });
    },
    [Symbol.asyncIterator]: () => iterate(),
    after: iterate,
  };
}
