import { systemClock, type Clock, type ClockTimer } from './clock.ts';

/** The pause after failed runs: `baseMs`, doubled by each further failure in a row, at most `capMs`. */
export interface RetryPause {
  readonly baseMs: number;
  readonly capMs: number;
}

export interface PeriodicTaskOptions {
  /** One run. The signal is aborted by `stop`, for runs of many steps. */
  readonly run: (signal: AbortSignal) => void | Promise<void>;
  /**
   * The pause from the end of a run to the next run. A function is called at the end of each run. Infinity: the next run
   * comes after `wake`.
   */
  readonly everyMs: number | (() => number);
  /** Share of the pause that is random: 0.3 makes pauses of 70 to 100 %, so that nodes that start together drift apart. Default: 0. */
  readonly jitter?: number;
  /** Absent: the pause after a failed run is `everyMs`. */
  readonly retry?: RetryPause;
  /**
   * Least time between the beginnings of two runs, after a pause and after `wake`. With a pause of 0 the runs begin at this
   * rate. Default: 0.
   */
  readonly leastMs?: number;
  /** Called for each failed run. @param isFirst the run before did not fail: the moment for a log line */
  readonly failed: (error: unknown, isFirst: boolean) => void;
  /** False: the timer does not keep the process alive. Default: true. */
  readonly keepsAlive?: boolean;
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** Callers of `ran` that wait for one run. */
interface Waiting {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

function waiting(): Waiting {
  let settle: Omit<Waiting, 'promise'> = { resolve: () => {}, reject: () => {} };
  const promise = new Promise<void>((resolve, reject) => (settle = { resolve, reject }));
  return { promise, ...settle };
}

/**
 * Work that repeats by itself: a poll, a relay, a clean-up.
 *
 * new ── `start` ──▶ waiting ── the pause ends, or `wake` ──▶ running ── the run ends ──▶ waiting; ── `stop` ──▶ stopped.
 *
 * - **One run at a time.** The pause begins at the end of a run, so a slow run delays the next one.
 * - **`wake` is never lost and never queues.** During a run it begins one more run right after, however often it is called.
 *   During the pause it ends the pause. With a time it leaves at most that time until the next run, and never puts a run
 *   off. Before `start` and after `stop` it does nothing.
 * - **A failure stays inside.** A run that throws or rejects calls `failed`, and the task goes on after the pause of `retry`.
 *   An error of `failed` itself is an unhandled rejection, which `main.ts` logs.
 * - **`ran` is for callers that need the effect of a run**: it resolves after a run that began after the call, and rejects
 *   with the error of that run. Callers during one run share the next.
 * - **`stop` has an end.** No run begins after it. Its promise resolves when the current run has ended, and never rejects.
 *   A promise of `ran` whose run did not begin rejects.
 */
export class PeriodicTask {
  readonly #options: PeriodicTaskOptions;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  #state: 'new' | 'waiting' | 'running' | 'stopped' = 'new';
  #timer: ClockTimer | undefined = undefined;
  #current: Promise<void> | undefined = undefined;
  #next: Waiting | undefined = undefined;
  /** When the timer ends, if there is one. */
  #dueAt = Infinity;
  /** `wake` during the run: when the next run is due. */
  #againAt = Infinity;
  #failures = 0;
  #beganAt = -Infinity;

  constructor(options: PeriodicTaskOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** @param delayMs the time to the first run. Default: at the next turn of the event loop. */
  start(delayMs = 0): void {
    if (this.#state !== 'new') return;
    this.#state = 'waiting';
    this.#wait(delayMs);
  }

  /** The first run comes after one pause. */
  startLater(): void {
    this.start(this.#pauseMs);
  }

  /** Aborted by `stop`: the signal of each run. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  /** @param withinMs the most time until the next run. Default: 0. */
  wake(withinMs = 0): void {
    const at = this.#clock.now() + withinMs;
    if (this.#state === 'running') this.#againAt = Math.min(this.#againAt, at);
    else if (this.#state === 'waiting' && at < this.#dueAt) this.#wait(Math.max(withinMs, this.#restMs));
  }

  ran(): Promise<void> {
    if (this.#state === 'new' || this.#state === 'stopped') return Promise.reject(new Error('The task does not run.'));
    this.#next ??= waiting();
    this.wake();
    return this.#next.promise;
  }

  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#timer?.cancel();
    this.#stopping.abort();
    this.#next?.reject(new Error('The task was stopped.'));
    this.#next = undefined;
    await this.#current;
  }

  get #restMs(): number {
    return Math.max(0, this.#beganAt + (this.#options.leastMs ?? 0) - this.#clock.now());
  }

  #wait(ms: number): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#dueAt = this.#clock.now() + ms;
    if (ms === Infinity) return;
    this.#timer = this.#clock.after(ms, () => this.#begin());
    if (this.#options.keepsAlive === false) this.#timer.unref();
  }

  #begin(): void {
    this.#state = 'running';
    this.#beganAt = this.#clock.now();
    const callers = this.#next;
    this.#next = undefined;
    this.#current = this.#run(callers).finally(() => {
      this.#current = undefined;
      if (this.#state !== 'running') return;
      this.#state = 'waiting';
      const againMs = this.#againAt - this.#clock.now();
      this.#againAt = Infinity;
      this.#wait(Math.max(this.#restMs, Math.min(againMs, this.#pauseMs)));
    });
  }

  async #run(callers: Waiting | undefined): Promise<void> {
    try {
      await this.#options.run(this.#stopping.signal);
      this.#failures = 0;
      callers?.resolve();
    } catch (error) {
      callers?.reject(error);
      const isFirst = this.#failures++ === 0;
      this.#report(error, isFirst);
    }
  }

  #report(error: unknown, isFirst: boolean): void {
    try {
      this.#options.failed(error, isFirst);
    } catch (failure) {
      unhandled(failure);
    }
  }

  get #pauseMs(): number {
    const { everyMs, retry, jitter = 0, random = Math.random } = this.#options;
    const regular = typeof everyMs === 'number' ? everyMs : everyMs();
    const ms =
      this.#failures > 0 && retry !== undefined
        ? Math.min(retry.capMs, retry.baseMs * 2 ** Math.min(this.#failures - 1, 30))
        : regular;
    return ms * (1 - jitter * random());
  }
}

function unhandled(failure: unknown): void {
  void Promise.reject(failure instanceof Error ? failure : new Error(String(failure)));
}
