/**
 * Bounds the cost of a text that anybody may request and that is expensive to make. Concurrent requests share one text, and
 * each text is followed by a pause of four times its duration. So the texts take at most a fifth of the processor at any
 * rate of requests, and no text is older than its request.
 */
import { setTimeout as delay } from 'node:timers/promises';

const pauseFactor = 4;
const longestPauseMs = 1000;

export function paced<T>(make: () => Promise<T>): () => Promise<T> {
  let next: Promise<T> | undefined;
  let last: Promise<unknown> = Promise.resolve();
  let pauseUntil = 0;
  const run = async (after: Promise<unknown>): Promise<T> => {
    await after;
    const pauseMs = pauseUntil - performance.now();
    if (pauseMs > 0) await delay(pauseMs);
    // a later request gets a later text
    next = undefined;
    const from = performance.now();
    try {
      return await make();
    } finally {
      const now = performance.now();
      pauseUntil = now + Math.min(longestPauseMs, pauseFactor * (now - from));
    }
  };
  return () => {
    if (next === undefined) {
      next = run(last);
      // the caller handles the failure; the next text does not depend on it
      last = next.catch(() => {});
    }
    return next;
  };
}
