/** The contract of PeriodicTask, on a clock that the test moves. */
import { describe, expect, it } from 'vitest';
import { PeriodicTask, type PeriodicTaskOptions } from '../../src/jobs/periodic-task.ts';
import { inTime, NoAnswer, within } from '../../src/jobs/within.ts';
import { ManualClock } from '../support/manual-clock.ts';

interface Run {
  readonly at: number;
  readonly signal: AbortSignal;
  readonly end: () => void;
  readonly fail: (error: Error) => void;
}

/** A task whose runs last until the test ends them. */
function make(options: Partial<PeriodicTaskOptions> = {}) {
  const clock = new ManualClock();
  const runs: Run[] = [];
  const failures: { message: string; isFirst: boolean }[] = [];
  const task = new PeriodicTask({
    run: (signal) =>
      new Promise<void>((end, fail) => {
        runs.push({ at: clock.now(), signal, end, fail });
      }),
    everyMs: 1000,
    failed: (error, isFirst) => failures.push({ message: (error as Error).message, isFirst }),
    clock,
    ...options,
  });
  const end = async (): Promise<void> => {
    runs.at(-1)?.end();
    await clock.pass(0);
  };
  const fail = async (): Promise<void> => {
    runs.at(-1)?.fail(new Error('down'));
    await clock.pass(0);
  };
  return { clock, runs, failures, task, end, fail };
}

describe('a periodic task', () => {
  it('runs at its start, and again one pause after the end of each run', async () => {
    const { clock, runs, task, end } = make();
    await clock.pass(5000);
    expect(runs).toEqual([]);
    task.start();
    await clock.pass(0);
    expect(runs.map(({ at }) => at)).toEqual([5000]);
    // a slow run delays the next one: there are never two at once
    await clock.pass(7000);
    expect(runs).toHaveLength(1);
    await end();
    await clock.pass(999);
    expect(runs).toHaveLength(1);
    await clock.pass(1);
    expect(runs.map(({ at }) => at)).toEqual([5000, 13_000]);
  });

  it('takes its pause from a function, and shortens the pause at random', async () => {
    const { clock, task, end } = make({ everyMs: () => 400, jitter: 0.5, random: () => 0.5 });
    task.start(50);
    expect(clock.pending).toEqual([50]);
    await clock.pass(50);
    await end();
    expect(clock.pending).toEqual([300]);
  });

  it('runs once more for all that wake it during a run, and at once if it waits', async () => {
    const { clock, runs, task, end } = make();
    task.wake();
    expect(clock.pending).toEqual([]);
    task.start(1000);
    task.wake();
    await clock.pass(0);
    expect(runs).toHaveLength(1);
    for (let i = 0; i < 5; i++) task.wake();
    await end();
    expect(runs).toHaveLength(2);
    await end();
    expect(clock.pending).toEqual([1000]);
  });

  it('leaves the least time between the beginnings of two runs', async () => {
    const { clock, runs, task, end } = make({ leastMs: 10 });
    task.start();
    await clock.pass(0);
    await end();
    task.wake();
    task.wake();
    expect(clock.pending).toEqual([10]);
    await clock.pass(10);
    await clock.pass(20);
    task.wake();
    await end();
    expect(runs.map(({ at }) => at)).toEqual([0, 10, 30]);
  });

  it('begins its runs at a fixed rate with a pause of 0 and a least time', async () => {
    const { clock, runs, task, end } = make({ everyMs: 0, leastMs: 250 });
    task.start();
    await clock.pass(30);
    await end();
    expect(clock.pending).toEqual([220]);
    await clock.pass(220);
    // a run that takes longer delays the next one
    await clock.pass(400);
    await end();
    await clock.pass(0);
    expect(runs.map(({ at }) => at)).toEqual([0, 250, 650]);
  });

  it('waits one pause for the first run of a late start', async () => {
    const { clock, task } = make({ jitter: 0.2, random: () => 1 });
    task.startLater();
    expect(clock.pending).toEqual([800]);
    await task.stop();
  });

  it('rests without a timer until it is woken, at the earliest of the times', async () => {
    const { clock, runs, task, end } = make({ everyMs: Infinity });
    task.startLater();
    expect(clock.pending).toEqual([]);
    task.wake(300);
    await clock.pass(100);
    task.wake(300);
    expect(clock.pending).toEqual([200]);
    task.wake(50);
    expect(clock.pending).toEqual([50]);
    await clock.pass(50);
    // during a run: the time counts from the call
    task.wake(300);
    await clock.pass(120);
    await end();
    expect(clock.pending).toEqual([180]);
    await clock.pass(180);
    await end();
    expect([runs.map(({ at }) => at), clock.pending]).toEqual([[150, 450], []]);
    await task.stop();
    expect(task.signal.aborted).toBe(true);
  });

  it('goes on after failures, with growing pauses, and reports which failure is the first in a row', async () => {
    const { clock, runs, failures, task, end, fail } = make({ retry: { baseMs: 100, capMs: 300 } });
    task.start();
    await clock.pass(0);
    const pauses: number[] = [];
    for (let i = 0; i < 4; i++) {
      await fail();
      pauses.push(...clock.pending);
      await clock.pass(pauses.at(-1) ?? 0);
    }
    expect(pauses).toEqual([100, 200, 300, 300]);
    await end();
    expect(clock.pending).toEqual([1000]);
    await clock.pass(1000);
    await fail();
    expect(failures.map(({ isFirst }) => isFirst)).toEqual([true, false, false, false, true]);
    expect(runs).toHaveLength(6);
  });

  it('takes an exception for a failure as well', async () => {
    const { clock, failures, task } = make({
      run: () => {
        throw new Error('thrown');
      },
    });
    task.start();
    await clock.pass(0);
    expect(failures).toEqual([{ message: 'thrown', isFirst: true }]);
    expect(clock.pending).toEqual([1000]);
  });

  it('answers a caller after a run that began after the call, with the error of that run', async () => {
    const { clock, runs, task, end, fail } = make();
    await expect(task.ran()).rejects.toThrow('does not run');
    task.start();
    await clock.pass(0);
    let answered = false;
    const first = task.ran().then(() => (answered = true));
    const second = task.ran();
    await end();
    expect([runs.length, answered]).toEqual([2, false]);
    await end();
    await Promise.all([first, second]);
    const third = task.ran();
    await clock.pass(0);
    await Promise.all([expect(third).rejects.toThrow('down'), fail()]);
  });

  it('stops after the current run, whose signal says so, and begins no other', async () => {
    const { clock, runs, task } = make();
    task.start();
    await clock.pass(0);
    const left = expect(task.ran()).rejects.toThrow('stopped');
    let stopped = false;
    const stop = task.stop().then(() => (stopped = true));
    await clock.pass(5000);
    await left;
    expect([stopped, runs[0]?.signal.aborted]).toEqual([false, true]);
    runs[0]?.fail(new Error('cut short'));
    await stop;
    task.wake();
    task.start();
    await clock.pass(5000);
    expect([runs.length, clock.pending]).toEqual([1, []]);
  });
});

describe('a time limit', () => {
  it('passes the outcome on, and leaves no timer', async () => {
    const clock = new ManualClock();
    await expect(within(100, Promise.resolve('done'), clock)).resolves.toBe('done');
    await expect(within(100, Promise.reject(new Error('down')), clock)).rejects.toThrow('down');
    expect(clock.pending).toEqual([]);
  });

  it('ends with an error that counts as a lost connection, and ignores what comes later', async () => {
    const clock = new ManualClock();
    let fail: ((error: Error) => void) | undefined;
    const late = within(100, new Promise((_, reject) => (fail = reject)), clock);
    const outcome = expect(late).rejects.toMatchObject({ code: 'ETIMEDOUT', message: 'no answer in 100 ms' });
    await clock.pass(100);
    await outcome;
    fail?.(new Error('too late'));
    await clock.pass(0);
    await expect(late).rejects.toBeInstanceOf(NoAnswer);
  });

  it('gives undefined for late work where that is an outcome, and passes other errors on', async () => {
    const clock = new ManualClock();
    const late = inTime(100, new Promise(() => {}), clock);
    await clock.pass(100);
    expect(await late).toBeUndefined();
    expect(await inTime(100, Promise.resolve('done'), clock)).toBe('done');
    await expect(inTime(100, Promise.reject(new Error('down')), clock)).rejects.toThrow('down');
    expect(clock.pending).toEqual([]);
  });
});
