// @ts-check
import exec from 'k6/execution';

/** @type {typeof exec.instance | undefined} kept, because k6 makes the object in ten times the time of a read */
let instance;
let offset = 0;

/**
 * Milliseconds since 1970 with a fraction. `Date.now()` of k6 has whole milliseconds only, which is coarser than many
 * latencies. The running time of the test has nanoseconds, so its offset to `Date.now()` is measured once.
 * @returns {number}
 */
export function now() {
  if (instance === undefined) {
    instance = exec.instance;
    offset = untilTick() - instance.currentTestRunDuration;
  }
  return offset + instance.currentTestRunDuration;
}

/** The beginning of the next whole millisecond. Waits for less than one. */
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
