import type { Clock } from '../../jobs/clock.ts';
import { within } from '../../jobs/within.ts';

/**
 * The answer of Redis, if it comes in time. A process that was busy itself has the answer in its socket: the event loop reads
 * sockets between a timer and `setImmediate`.
 * @throws {NoAnswer} after the limit
 */
export function answered<T>(ms: number, sending: Promise<T>, clock: Clock): Promise<T> {
  return within(ms, sending, {
    now: () => clock.now(),
    after: (afterMs, run) => clock.after(afterMs, () => setImmediate(() => setImmediate(run))),
  });
}
