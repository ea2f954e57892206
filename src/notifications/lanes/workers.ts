import { DelayedError, UnrecoverableError, type Job } from 'bullmq';
import { inTime } from '../../jobs/within.ts';
import { lanes, type Lane } from '../../protocol/lanes.ts';
import type { LaneMetrics } from '../../telemetry/lane-metrics.ts';
import type { Log } from '../../telemetry/log.ts';
import type { LaneBackend, LaneWorker, Payload } from './backend.ts';
import { jobOf } from './jobs.ts';
import type { JobHandler } from './lanes.ts';
import { byLane, shareSlots, type ByLane } from './slots.ts';
import type { WorkerTimes } from './worker-times.ts';

/** For handlers that ended by their signal to store it. */
const abortedMs = 1000;
/** A job that ends so many processes in a row is dropped. */
const maxStalls = 10;
const logEveryMs = 30_000;

export interface LaneWorkersOptions {
  readonly backend: LaneBackend;
  readonly slots: ByLane<number>;
  readonly handlers: Readonly<Record<string, JobHandler>>;
  readonly times: WorkerTimes;
  readonly metrics: LaneMetrics;
  readonly log: Log;
}

/** The workers of one process: one for each lane, which lend each other their idle slots. */
export class LaneWorkers {
  readonly #options: LaneWorkersOptions;
  readonly #running = byLane(() => 0);
  readonly #workers: ByLane<LaneWorker>;
  #loggedAt = -Infinity;

  constructor(options: LaneWorkersOptions) {
    this.#options = options;
    this.#workers = byLane((lane) => this.#open(lane));
    this.#share();
  }

  /** Jobs that do not end in time run again in another process. */
  async stop(): Promise<void> {
    const workers = Object.values(this.#workers);
    const ended = Promise.all(workers.map((worker) => worker.pause())).then(() => true);
    // `close` below ends a wait that is late
    ended.catch(() => {});
    if ((await inTime(this.#options.times.stopMs, ended)) !== true) {
      for (const worker of workers) worker.cancelAllJobs('The process stops.');
      await inTime(abortedMs, ended);
    }
    await inTime(abortedMs, Promise.all(workers.map((worker) => worker.close(true))));
  }

  #open(lane: Lane): LaneWorker {
    const { backend, slots, times, metrics } = this.#options;
    const worker = backend.worker(lane, (job, token, signal) => this.#run(lane, job, token, signal), {
      concurrency: slots[lane],
      lockDuration: times.claimMs,
      stalledInterval: times.stalledEveryMs,
      maxStalledCount: maxStalls,
      runRetryDelay: 1000,
      settings: { backoffStrategy: (attempts, _type, error, job) => this.#pauseMs(lane, attempts ?? 1, error, job) },
    });
    worker.on('error', (err) => this.#report(lane, err));
    worker.on('stalled', () => metrics.stalled.inc({ lane }));
    worker.on('failed', (job, error) => {
      if (error instanceof UnrecoverableError) this.#dropped(lane, job, error);
    });
    return worker;
  }

  async #run(lane: Lane, job: Job<Payload>, token = '', signal = AbortSignal.abort()): Promise<void> {
    const { handlers, metrics } = this.#options;
    const count = (outcome: string): void => metrics.ran.inc({ lane, outcome });
    const { at, expires } = job.data;
    if (expires !== undefined && Date.now() >= expires) return count('expired');
    metrics.waitSeconds.observe({ lane }, Math.max(0, Date.now() - at) / 1000);
    this.#running[lane]++;
    this.#share();
    try {
      const handler = handlers[job.name];
      if (handler === undefined)
        throw new Error(`This version of Parley has no handler for jobs of the kind ${job.name}`);
      const result = await handler(jobOf(lane, job), signal);
      if ('done' in result) return count('done');
      await job.updateData({ ...job.data, at: result.again });
      await job.moveToDelayed(result.again, token);
      count('again');
    } catch (error) {
      count('failed');
      throw error;
    } finally {
      this.#running[lane]--;
      this.#share();
    }
    throw new DelayedError();
  }

  /** Exponential, with full jitter. @returns -1 where the job is dropped */
  #pauseMs(
    lane: Lane,
    attempts: number,
    error: Error | undefined,
    job: Pick<Job<Payload>, 'id' | 'name' | 'timestamp'> | undefined,
  ): number {
    const { backoffMs, backoffCapMs, giveUpMs } = this.#options.times;
    const pauseMs = Math.random() * Math.min(backoffCapMs, backoffMs * 2 ** Math.min(attempts - 1, 30));
    if (job === undefined || Date.now() + pauseMs < job.timestamp + giveUpMs) return Math.ceil(pauseMs);
    this.#dropped(lane, job, error);
    return -1;
  }

  #dropped(lane: Lane, job: Pick<Job<Payload>, 'id' | 'name'> | undefined, err: Error | undefined): void {
    this.#options.metrics.ran.inc({ lane, outcome: 'dropped' });
    this.#options.log.error({ lane, id: job?.id, kind: job?.name, err }, 'Dropped a job that failed for too long.');
  }

  /** One line for the errors of 30 s: every worker has an error in an outage. */
  #report(lane: Lane, err: Error): void {
    const now = performance.now();
    if (now - this.#loggedAt < logEveryMs) return;
    this.#loggedAt = now;
    this.#options.log.warn({ lane, err }, 'A worker of a lane failed; retrying. Notifications may be late until then.');
  }

  #share(): void {
    const open = shareSlots(this.#options.slots, this.#running);
    for (const lane of lanes) {
      const worker = this.#workers[lane];
      const before = worker.concurrency;
      worker.concurrency = open[lane];
      // a worker with all slots in use waits for the end of a job; `resume` of BullMQ wakes it in the same way
      if (open[lane] > before && this.#running[lane] >= before) worker['mainLoopQueue']?.add(Promise.resolve());
    }
  }
}
