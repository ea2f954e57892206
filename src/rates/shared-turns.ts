/**
 * Equal reads of one user that wait for a turn are one read. A read joins only a read that has not begun, so that a user
 * reads what the same user wrote before. A page that many requests of a back end want at once costs one query a turn.
 */
import type { FairTurns } from './fair-turns.ts';

interface Waiting {
  readonly answer: Promise<unknown>;
  joined: number;
}

/** One refused turn refuses all that joined it, so that this bounds the requests that come again together. */
const mostJoined = 100;

export class SharedTurns {
  readonly #turns: Pick<FairTurns, 'take'>;
  readonly #waiting = new Map<string, Waiting>();

  constructor(turns: Pick<FairTurns, 'take'>) {
    this.#turns = turns;
  }

  /**
   * @param question equal texts of one user have the same answer
   * @throws {ParleyError} as `FairTurns.take`
   */
  take<T>(user: string, question: string, read: () => Promise<T>): Promise<T> {
    const key = `${user}\n${question}`;
    const known = this.#waiting.get(key);
    if (known !== undefined && known.joined < mostJoined) {
      known.joined++;
      return known.answer as Promise<T>;
    }
    let begun = false;
    const answer = this.#turns.take(user, () => {
      begun = true;
      this.#waiting.delete(key);
      return read();
    });
    if (begun) return answer;
    const waiting = { answer, joined: 0 };
    this.#waiting.set(key, waiting);
    answer.catch(() => {
      if (this.#waiting.get(key) === waiting) this.#waiting.delete(key);
    });
    return answer;
  }
}
