/** The clock of a part. A test injects a clock that it moves by hand, instead of waiting. */
export interface Clock {
  /** Monotonic milliseconds. Only differences mean anything. */
  now(): number;
  /** Calls `run` once, `ms` milliseconds later. @returns the timer, which `cancel` stops */
  after(ms: number, run: () => void): ClockTimer;
}

export interface ClockTimer {
  cancel(): void;
  /** The timer does not keep the process alive. */
  unref(): void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return { cancel: () => clearTimeout(timer), unref: () => void timer.unref() };
  },
};

/** Resolves `ms` milliseconds later. */
export function pause(ms: number, clock: Clock): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}
