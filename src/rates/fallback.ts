import { systemClock, type Clock } from '../jobs/clock.ts';
import { within } from '../jobs/within.ts';
import type { Hits, Rate, Rates, Taken } from './rates.ts';

/** As long as a command may wait for its rate; Redis answers in well under a millisecond, or is unavailable. */
const waitMs = 250;

interface FallbackOptions {
  readonly up: () => boolean;
  /** Called for each count of this node alone. */
  readonly failed: () => void;
  readonly clock?: Clock;
}

/** The shared form while it answers, else the node's own: a rate that cannot be checked is no reason to refuse anybody. */
export class FallbackRates implements Rates {
  readonly #shared: Rates;
  readonly #own: Rates;
  readonly #options: FallbackOptions;

  constructor(shared: Rates, own: Rates, options: FallbackOptions) {
    this.#shared = shared;
    this.#own = own;
    this.#options = options;
  }

  take(key: string, cost: number, rate: Rate): Promise<Taken> {
    return this.#either((rates) => rates.take(key, cost, rate));
  }

  record(key: string, cost: number, rate: Rate, earlier?: readonly Hits[]): Promise<Taken> {
    return this.#either((rates) => rates.record(key, cost, rate, earlier));
  }

  async #either(count: (rates: Rates) => Promise<Taken>): Promise<Taken> {
    const answer = this.#options.up()
      ? await answerOf(count(this.#shared), this.#options.clock ?? systemClock)
      : undefined;
    if (answer !== undefined) return answer;
    this.#options.failed();
    return count(this.#own);
  }
}

/** @returns undefined: Redis refused, or its answer is late. */
function answerOf(answer: Promise<Taken>, clock: Clock): Promise<Taken | undefined> {
  return within(waitMs, answer, clock).catch(() => undefined);
}
