/**
 * A text that is costly to make and that anybody may request, made anew for each who asks: those who ask at once share
 * one, and after each there is a pause of four times as long. So however often it is requested, it takes a fifth of the
 * processor at most; and it is never older than the request.
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
    // who asks from now on may want to see what happens from now on
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
      // a failure is its caller's to handle; the next one begins all the same
      last = next.catch(() => {});
    }
    return next;
  };
}
