/**
 * The clock of Postgres, read without a query. Times that two machines compare come from this one clock: the clock of a
 * node may be minutes off, and a mute of five minutes set by such a node would be over before it began.
 */
import type { Log } from '../telemetry/log.ts';

/** A larger difference is logged, because tokens begin and end by the clock of the node. */
const suspiciousMs = 5000;

export class ServerClock {
  readonly #log: Log | undefined;
  #offsetMs = 0;
  #warned = false;

  constructor(log?: Log) {
    this.#log = log;
  }

  /** Milliseconds since 1970, as Postgres would say. */
  now(): number {
    return Math.round(Date.now() + this.#offsetMs);
  }

  /** How far Postgres is ahead of this node. */
  get offsetMs(): number {
    return this.#offsetMs;
  }

  /** Postgres answered `theirs` at a moment between `from` and `to` of the clock of this node. */
  measured(theirs: number, from: number, to: number): void {
    // a slow answer is too imprecise
    if (to < from || to - from > 1000) return;
    const offset = theirs - (from + to) / 2;
    // smaller differences are within the precision, and would only make time jump
    if (Math.abs(offset - this.#offsetMs) > (to - from) / 2 + 1) this.#offsetMs = offset;
    const far = Math.abs(this.#offsetMs) > suspiciousMs;
    if (far && !this.#warned)
      this.#log?.warn(
        { offsetMs: Math.round(this.#offsetMs) },
        'The clocks of this node and of Postgres differ by more than 5 s. Tokens may be accepted too early or refused too soon.',
      );
    this.#warned = far;
  }
}
