export interface Backoff {
  readonly baseMs: number;
  readonly capMs: number;
}

export const reconnectBackoff: Backoff = { baseMs: 500, capMs: 30_000 };
export const resendBackoff: Backoff = { baseMs: 250, capMs: 15_000 };

/**
 * The delay before the next attempt, with full jitter: anything between nothing and the doubled bound. Full jitter
 * spreads ten thousand clients that lost one server evenly. With a fixed part they would come back in waves.
 *
 * @param attempt 0 for the first attempt after a success
 * @param atLeast the server's `retryAfter` in ms. The delay is never shorter, and the jitter is added to it.
 */
export function delayBefore(
  attempt: number,
  backoff: Backoff,
  atLeast = 0,
  random: () => number = Math.random,
): number {
  const bound = Math.min(backoff.capMs, backoff.baseMs * 2 ** Math.min(attempt, 30));
  return Math.round(atLeast + random() * bound);
}
