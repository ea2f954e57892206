export interface Backoff {
  readonly baseMs: number;
  readonly capMs: number;
}

export const reconnectBackoff: Backoff = { baseMs: 500, capMs: 30_000 };
export const resendBackoff: Backoff = { baseMs: 250, capMs: 15_000 };

/**
 * How long to wait before the next try, with full jitter: anything between nothing and the doubled bound. It spreads
 * ten thousand clients that lost one server evenly, where a fixed part would have them come back in waves.
 *
 * @param attempt 0 for the first try after a success
 * @param atLeast what the server asked for (`retryAfter`, ms): never less, and jittered past it for the same reason
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
