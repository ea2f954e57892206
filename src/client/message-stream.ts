/** The messages of a room, as an observable list and as an async sequence. */
import type { Message } from '../protocol/model.ts';
import { delayBefore, resendBackoff } from './backoff.ts';
import { asParleyError } from './failure.ts';
import type { Readable } from './readable.ts';
import type { RoomState } from './room-state.ts';

/**
 * `value` and `subscribe` give the whole list: in order, without a gap, up to the newest, each message in its present
 * state. An iteration yields each message once, in its state at that moment: first the list, then new messages. The
 * iteration waits while there is none, also over lost connections. Releasing the room or closing the client ends the
 * iteration. A room that is gone makes the iteration throw the room's error.
 */
export interface MessageStream extends Readable<readonly Message[]>, AsyncIterable<Message> {
  /**
   * Iterates from the first message after `seq` on, with history where needed: for programs that store their position.
   */
  after(seq: number): AsyncIterable<Message>;
}

/** @param page reads the first messages after a seq from the server */
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
      // The last message that was yielded is another one now: the history went back. Continue with the first message
      // that is new.
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
        // The list begins later: the room started over after a long absence, or the caller wants an earlier start.
        try {
          const older: readonly Message[] = await page(last);
          for (const message of older) {
            last = message.seq;
            yield message;
          }
          // The messages in between have expired.
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
      let known = state.value.messages;
      return state.subscribe(({ messages }) => {
        if (messages !== known) listener((known = messages));
      });
    },
    [Symbol.asyncIterator]: () => iterate(),
    after: iterate,
  };
}
