import { systemClock, type Clock } from '../jobs/clock.ts';
import { within } from '../jobs/within.ts';
import type { Hits, Rate, Rates, Taken } from './rates.ts';

/** As long as a command may wait for its rate; Redis answers in well under a millisecond, or is unavailable. */
const waitMs = 250;

interface FallbackOptions {
  readonly up: () => boolean;
  /** Called for each count of this node alone. */
  readonly failed: () => void;
  /** How many nodes there were while Redis answered. Each node alone admits its share. Default: 1. */
  readonly nodes?: () => number;
  readonly clock?: Clock;
}

/**
 * The shared form while it answers, else the node's own, with this node's share of the limit. The lost counts of other nodes
 * are no reason to refuse everybody, and the lost Redis is no reason to admit everything.
 */
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
    return this.#either((rates, share) => rates.take(key, cost, share(rate)));
  }

  record(key: string, cost: number, rate: Rate, earlier?: readonly Hits[]): Promise<Taken> {
    return this.#either((rates, share) => rates.record(key, cost, share(rate), earlier));
  }

  async #either(count: (rates: Rates, share: (rate: Rate) => Rate) => Promise<Taken>): Promise<Taken> {
    const answer = this.#options.up()
      ? await answerOf(count(this.#shared, whole), this.#options.clock ?? systemClock)
      : undefined;
    if (answer !== undefined) return answer;
    this.#options.failed();
    return count(this.#own, (rate) => this.#share(rate));
  }

  #share(rate: Rate): Rate {
    return { ...rate, limit: Math.max(1, Math.floor(rate.limit / (this.#options.nodes?.() ?? 1))) };
  }
}

function whole(rate: Rate): Rate {
  return rate;
}

/** @returns undefined: Redis refused, or its answer is late. */
function answerOf(answer: Promise<Taken>, clock: Clock): Promise<Taken | undefined> {
  return within(waitMs, answer, clock).catch(() => undefined);
}
