/**
 * The calls of one webhook at a time in this process. A slow receiver would otherwise hold every worker of the lane, and
 * notifications of other receivers would wait for it.
 *
 * A delivery over the limit gets the time of its turn instead. These times follow each other at the pace of the calls so
 * far. So most deliveries of a long backlog ask once.
 */
const callsAtOnce = 4;
/** The pace before the first call has ended. */
const firstGuessMs = 100;
/** A turn is at most so far ahead: the pace may be wrong. */
const farthestMs = 30_000;

interface Calls {
  running: number;
  /** The usual time of a call. */
  usualMs: number;
  /** The turn of the next delivery that has to wait. */
  nextAt: number;
}

export class Turns {
  readonly #calls = new Map<string, Calls>();

  /** @returns undefined: the caller may call now, and calls `end` afterwards. Else the time of its turn. */
  begin(webhook: string, now: number): number | undefined {
    const calls = this.#calls.get(webhook) ?? { running: 0, usualMs: firstGuessMs, nextAt: 0 };
    this.#calls.set(webhook, calls);
    if (calls.running < callsAtOnce) {
      calls.running++;
      return undefined;
    }
    const step = calls.usualMs / callsAtOnce;
    calls.nextAt = Math.min(Math.max(calls.nextAt, now) + step, now + farthestMs);
    return Math.ceil(calls.nextAt);
  }

  end(webhook: string, tookMs: number, now: number): void {
    const calls = this.#calls.get(webhook);
    if (calls === undefined) return;
    calls.running--;
    calls.usualMs = calls.usualMs * 0.8 + tookMs * 0.2;
    // nobody waits, so that a map of webhooks that are gone does not grow
    if (calls.running === 0 && calls.nextAt <= now) this.#calls.delete(webhook);
  }
}
