/**
 * The parent of several workers on one port. The parent serves no clients and has no connection to the database. The parent
 * forks workers, starts a dead worker again, replaces workers one by one, and adds up their metrics.
 *
 * starting ── all are ready ──▶ running ⇄ rolling; ── `stop()` ──▶ stopping ──▶ over
 * starting ── a worker reports why it cannot start ──▶ over, with that reason, which holds for every worker.
 */
import { StartupError } from '../startup-error.ts';
import type { GroupMetrics, WorkerState } from '../telemetry/group-metrics.ts';
import type { Log } from '../telemetry/log.ts';
import { restartBackoff, restartDelay } from './backoff.ts';
import type { Child, Exit } from './child.ts';

export interface SupervisorOptions {
  readonly workers: number;
  /** Forks the worker of this place, 1…n. */
  readonly fork: (place: number, scrape: () => Promise<string>) => Child;
  /** Longest time of a worker's stop; after it the parent kills the worker. */
  readonly stopMs: number;
  readonly metrics: GroupMetrics;
  readonly log: Log;
}

/** One of the n places for a worker. A place stays while its workers start and end. */
interface Place {
  readonly number: number;
  child: Child | undefined;
  failures: number;
  restart: NodeJS.Timeout | undefined;
}

const collectMs = 1000;
/** Migrations run before a worker is ready. After this time the old worker stays. */
const replacementMs = 600_000;

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #places: Place[];
  /** All running workers, also replaced ones that still drain. */
  readonly #children = new Set<Child>();
  #phase: 'starting' | 'running' | 'stopping' = 'starting';
  #rolling = false;
  #rollAgain = false;
  #gathering: Promise<string> | undefined = undefined;
  #failStart: (error: StartupError) => void = () => {};
  #firstReady: (url: string) => void = () => {};

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#places = Array.from({ length: options.workers }, (_, i) => ({
      number: i + 1,
      child: undefined,
      failures: 0,
      restart: undefined,
    }));
  }

  /** Resolves with the URL when every place has a worker that listens. @throws {StartupError} of a worker. */
  async start(): Promise<string> {
    const started = new Promise<string>((resolve, reject) => {
      this.#failStart = reject;
      this.#firstReady = (url) => {
        if (this.#places.every(({ child }) => child?.state === 'ready')) resolve(url);
      };
    });
    for (const place of this.#places) this.#launch(place);
    try {
      const url = await started;
      if (this.#phase === 'starting') this.#phase = 'running';
      return url;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Replaces the workers one after the other. A call during a round begins one more round afterwards. */
  async roll(): Promise<void> {
    const { log } = this.#options;
    if (this.#phase !== 'running')
      return log.warn('Ignored the request for a rolling restart: the workers are starting or stopping.');
    if (this.#rolling) {
      this.#rollAgain = true;
      return;
    }
    this.#rolling = true;
    do {
      this.#rollAgain = false;
      log.info('Rolling restart: started.');
      if (await this.#rollOnce()) log.info('Rolling restart: finished.');
    } while (this.#rollAgain && this.#mayRoll());
    this.#rolling = false;
  }

  /** Lets every worker finish. @returns whether all of them did. */
  async stop(): Promise<boolean> {
    this.#phase = 'stopping';
    for (const place of this.#places) clearTimeout(place.restart);
    const ends = [...this.#children].map(async (child) => {
      // a worker that is not ready has no work to finish: the signal ends it
      const serves = child.readyAt !== undefined;
      const { code } = await child.stop(this.#options.stopMs);
      return code === 0 || !serves;
    });
    return (await Promise.all(ends)).every(Boolean);
  }

  /** Ends all of them at once. */
  kill(): void {
    this.#phase = 'stopping';
    for (const child of this.#children) child.kill();
  }

  #launch(place: Place): void {
    const child = this.#fork(place);
    place.child = child;
    child.ready.then(
      (url) => this.#firstReady(url),
      () => {}, // #ended logs the end
    );
  }

  #fork(place: Place): Child {
    const child = this.#options.fork(place.number, () => this.#text());
    this.#children.add(child);
    child.ready.then(
      () => this.#options.log.info({ worker: place.number, pid: child.pid }, 'A worker is ready.'),
      () => {}, // #ended logs the end
    );
    void child.ended.then((exit) => this.#ended(place, child, exit));
    return child;
  }

  #ended(place: Place, child: Child, exit: Exit): void {
    const { log, metrics } = this.#options;
    this.#children.delete(child);
    if (child.readings !== undefined) metrics.keep(child.readings);
    const details = { worker: place.number, pid: child.pid, ...exit };
    // a replaced worker, a worker that never got a place, or a stop
    if (place.child !== child || this.#phase === 'stopping') return log.info(details, 'A worker ended.');
    place.child = undefined;
    if (this.#phase === 'starting' && child.failure !== undefined) {
      return this.#failStart(new StartupError(child.failure));
    }
    const { readyAt } = child;
    if (readyAt !== undefined && performance.now() - readyAt >= restartBackoff.healthyMs) place.failures = 0;
    const restartInMs = restartDelay(place.failures++);
    log.error(
      { ...details, reason: child.failure, restartInMs },
      'A worker ended by itself; its clients reconnect to other workers. The parent starts it again.',
    );
    // a bare timer: one start, after a pause that grows with the failures of the place
    place.restart = setTimeout(() => {
      metrics.restarts.inc();
      this.#launch(place);
    }, restartInMs);
  }

  /** @returns whether every worker was replaced. */
  async #rollOnce(): Promise<boolean> {
    const { log, stopMs } = this.#options;
    for (const place of this.#places) {
      if (!this.#mayRoll()) return false;
      const next = this.#fork(place);
      // a bare timer: a late worker is killed, and its error is the outcome
      const late = setTimeout(() => next.kill(), replacementMs);
      try {
        await next.ready;
      } catch (error) {
        // the place keeps its worker, or the pause before its next start
        log.error(
          { worker: place.number, reason: (error as Error).message },
          'Rolling restart: given up, because a new worker could not start. The remaining workers stay as they are.',
        );
        return false;
      } finally {
        clearTimeout(late);
      }
      clearTimeout(place.restart);
      const before = place.child;
      place.child = next;
      place.failures = 0;
      await before?.stop(stopMs);
      log.info({ worker: place.number, pid: next.pid }, 'Rolling restart: a worker was replaced.');
    }
    return true;
  }

  #mayRoll(): boolean {
    return this.#phase === 'running';
  }

  /** `/metrics` of all; scrapes at the same time share one round. */
  #text(): Promise<string> {
    this.#gathering ??= this.#gather().finally(() => {
      this.#gathering = undefined;
    });
    return this.#gathering;
  }

  async #gather(): Promise<string> {
    const states: Record<WorkerState, number> = { starting: 0, ready: 0, leaving: 0 };
    for (const { state } of this.#children) if (state !== 'ended') states[state]++;
    const serving = [...this.#children].filter(({ readyAt }) => readyAt !== undefined);
    const readings = await Promise.all(
      serving.map(async (child) => ({ child, answer: await child.collect(collectMs), last: child.readings })),
    );
    // the kept counts include workers that ended meanwhile
    return this.#options.metrics.text(
      readings.filter(({ child }) => child.state !== 'ended'),
      states,
    );
  }
}
