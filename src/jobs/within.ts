/** The one home of time limits: no other file races a promise against a timer. */
import { systemClock, type Clock, type ClockTimer } from './clock.ts';

/** The work took longer than its limit. The work goes on, and its outcome is unknown. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
  /** As of a lost connection, so that `failureOf` counts the error as transient. */
  readonly code = 'ETIMEDOUT';

  constructor(ms: number) {
    super(`no answer in ${ms} ms`);
  }
}

/**
 * The outcome of `work`, if it comes within the limit. The timer ends with the work.
 * @throws {NoAnswer} after the limit. A later rejection of `work` is then ignored.
 */
export async function within<T>(ms: number, work: Promise<T>, clock: Clock = systemClock): Promise<T> {
  let timer: ClockTimer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = clock.after(ms, () => reject(new NoAnswer(ms)));
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    timer?.cancel();
  }
}

/** As `within`, for work that may be late. @returns undefined after the limit */
export async function inTime<T>(ms: number, work: Promise<T>, clock: Clock = systemClock): Promise<T | undefined> {
  try {
    return await within(ms, work, clock);
  } catch (error) {
    if (error instanceof NoAnswer) return undefined;
    throw error;
  }
}
