/**
 * Addresses whose requests are refused again and again. Each refusal doubles the wait that the answer names, up to a minute.
 * After twenty refusals the address is blocked for a time that doubles too. A quiet quarter of an hour forgets everything.
 */
import type { Clock } from '../jobs/clock.ts';

interface Offence {
  refusals: number;
  last: number;
  blockedUntil: number;
}

const forgetMs = 900_000;
const tolerated = 20;
const shortestBlockMs = 10_000;
const longestBlockMs = 900_000;
const longestWaitMs = 60_000;
const most = 50_000;

export class Offenders {
  readonly #offences = new Map<string, Offence>();
  readonly #clock: Pick<Clock, 'now'>;
  readonly #blocked: () => void;

  /** @param blocked called for each address that is blocked */
  constructor(clock: Pick<Clock, 'now'>, blocked: () => void) {
    this.#clock = clock;
    this.#blocked = blocked;
  }

  /** @returns the milliseconds for which the address is blocked; 0: it is not. */
  blockedFor(network: string): number {
    const offence = this.#offences.get(network);
    return offence === undefined ? 0 : Math.max(0, Math.ceil(offence.blockedUntil - this.#clock.now()));
  }

  /** @param waitMs the wait after which a request may succeed @returns the wait that the answer names */
  refused(network: string, waitMs: number): number {
    const now = this.#clock.now();
    const offence = this.#of(network, now);
    offence.refusals++;
    offence.last = now;
    const over = offence.refusals - tolerated;
    if (over >= 0 && offence.blockedUntil <= now) {
      offence.blockedUntil = now + Math.min(longestBlockMs, shortestBlockMs * 2 ** Math.min(over, 10));
      this.#blocked();
    }
    const grown = Math.min(longestWaitMs, 250 * 2 ** Math.min(offence.refusals, 10));
    return Math.ceil(Math.max(waitMs, grown, offence.blockedUntil - now));
  }

  get size(): number {
    return this.#offences.size;
  }

  #of(network: string, now: number): Offence {
    const known = this.#offences.get(network);
    // the last one that offended stands last
    this.#offences.delete(network);
    const offence =
      known === undefined || known.last < now - forgetMs ? { refusals: 0, last: now, blockedUntil: 0 } : known;
    this.#offences.set(network, offence);
    for (const [oldest, { last }] of this.#offences) {
      if (this.#offences.size <= most && last >= now - forgetMs) break;
      this.#offences.delete(oldest);
    }
    return offence;
  }
}
