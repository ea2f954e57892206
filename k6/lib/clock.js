// @ts-check
import exec from 'k6/execution';

/** @type {typeof exec.instance | undefined} making this object costs k6 ten times what reading it does */
let instance;
let offset = 0;

/**
 * Milliseconds since 1970 with a fraction. `Date.now()` of k6 has whole milliseconds only, which is coarser than many of
 * the latencies that are measured; the test's own running time has nanoseconds and is set against it once.
 * @returns {number}
 */
export function now() {
  if (instance === undefined) {
    instance = exec.instance;
    offset = untilTick() - instance.currentTestRunDuration;
  }
  return offset + instance.currentTestRunDuration;
}

/** The next whole millisecond at its beginning: less than one of waiting. */
function untilTick() {
  const from = Date.now();
  for (;;) {
    const time = Date.now();
    if (time !== from) return time;
  }
}

/**
 * @param {number} ms
 * @returns {Promise<void>}
 */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));

/**
 * @param {number} at instant, as `now()` gives it
 */
export const sleepUntil = (at) => sleep(at - now());
