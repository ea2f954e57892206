/**
 * Reads of one user that wait for a turn are one read. Equal questions are read once, and different ones together. A question
 * joins only a read that has not begun, so that a user reads what the same user wrote before. A question that finds a free
 * place is read at once and alone. So many requests of a back end cost one statement a turn.
 *
 * A turn has a greatest weight, because other users wait for its end. A further question waits for the user's next turn.
 */
import type { FairTurns } from './fair-turns.ts';

export interface SharedTurnsOptions<Q, A> {
  readonly turns: Pick<FairTurns, 'take'>;
  /** Reads in one turn. One answer a question, in their order; an Error is the answer to that question alone. */
  readonly read: (user: string, questions: readonly Q[]) => Promise<readonly (A | Error)[]>;
  readonly weightOf: (question: Q) => number;
  /** A heavier question has a turn of its own. */
  readonly mostWeight: number;
}

interface Entry<Q, A> {
  readonly question: Q;
  readonly answer: Promise<A>;
  readonly resolve: (answer: A) => void;
  readonly reject: (error: unknown) => void;
}

/** One refused turn refuses all that joined it, so that this bounds the requests that come again together. */
const mostJoined = 100;

export class SharedTurns<Q, A> {
  readonly #options: SharedTurnsOptions<Q, A>;
  /** The reads that wait and have space, one a user. */
  readonly #waiting = new Map<string, Shared<Q, A>>();

  constructor(options: SharedTurnsOptions<Q, A>) {
    this.#options = options;
  }

  /**
   * @param key equal keys of one user are equal questions
   * @throws {ParleyError} as `FairTurns.take`
   */
  take(user: string, key: string, question: Q): Promise<A> {
    const { turns, weightOf, mostWeight } = this.#options;
    const weight = weightOf(question);
    const waiting = this.#waiting.get(user);
    if (waiting !== undefined && waiting.joined < mostJoined) {
      const equal = waiting.answerTo(key);
      if (equal !== undefined || waiting.weight + weight <= mostWeight) {
        waiting.joined++;
        return equal ?? waiting.add(key, question, weight);
      }
    }
    const shared = new Shared<Q, A>();
    const answer = shared.add(key, question, weight);
    let begun = false;
    const close = (): void => {
      begun = true;
      if (this.#waiting.get(user) === shared) this.#waiting.delete(user);
    };
    const turn = turns.take(user, () => {
      close();
      return this.#read(user, shared);
    });
    turn.catch((error: unknown) => {
      close();
      for (const { reject } of shared.all) reject(error);
    });
    if (!begun) this.#waiting.set(user, shared);
    return answer;
  }

  async #read(user: string, { all }: Shared<Q, A>): Promise<void> {
    const answers = await this.#options.read(
      user,
      all.map(({ question }) => question),
    );
    for (const [i, { resolve, reject }] of all.entries()) {
      const answer = answers[i];
      if (answer instanceof Error) reject(answer);
      else resolve(answer as A);
    }
  }
}

/** The questions of one turn. */
class Shared<Q, A> {
  readonly #entries = new Map<string, Entry<Q, A>>();
  weight = 0;
  joined = 0;

  answerTo(key: string): Promise<A> | undefined {
    return this.#entries.get(key)?.answer;
  }

  add(key: string, question: Q, weight: number): Promise<A> {
    this.weight += weight;
    const { answer, ...settling } = pending<A>();
    this.#entries.set(key, { question, answer, ...settling });
    return answer;
  }

  get all(): Entry<Q, A>[] {
    return [...this.#entries.values()];
  }
}

function pending<A>(): Omit<Entry<never, A>, 'question'> {
  let settled: Pick<Entry<never, A>, 'resolve' | 'reject'> | undefined;
  const answer = new Promise<A>((resolve, reject) => {
    settled = { resolve, reject };
  });
  // a promise calls its function at once
  if (settled === undefined) throw new Error('The promise of an answer did not begin.');
  return { answer, ...settled };
}
