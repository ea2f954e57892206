import { ParleyError } from '../../protocol/errors.ts';
import { lanes, type Lane } from '../../protocol/lanes.ts';
import { PeriodicTask } from '../../jobs/periodic-task.ts';
import type { LaneMetrics } from '../../telemetry/lane-metrics.ts';
import type { Log } from '../../telemetry/log.ts';
import type { LaneBackend, LaneQueue } from './backend.ts';
import { storedId, storedJob } from './jobs.ts';
import type { JobHandler, LaneDepth, LaneJob, Lanes } from './lanes.ts';
import { byLane, type ByLane } from './slots.ts';
import type { WorkerTimes } from './worker-times.ts';
import { LaneWorkers } from './workers.ts';

/** Jobs in one round trip: about 50 ms of Redis. */
const batch = 500;
const depthsEveryMs = 5000;

export interface BullLanesOptions {
  readonly backend: LaneBackend;
  readonly slots: ByLane<number>;
  readonly times: WorkerTimes;
  readonly metrics: LaneMetrics;
  readonly log: Log;
}

/** The lanes on BullMQ, which has the same queues on Redis and on Postgres. */
export class BullLanes implements Lanes {
  readonly #options: BullLanesOptions;
  readonly #reading: PeriodicTask;
  #workers: LaneWorkers | undefined = undefined;
  #depths: ByLane<LaneDepth> | undefined = undefined;

  constructor(options: BullLanesOptions) {
    this.#options = options;
    this.#reading = new PeriodicTask({
      run: async () => {
        this.#depths = await this.depths();
      },
      everyMs: depthsEveryMs,
      failed: (err, isFirst) => {
        this.#depths = undefined;
        if (isFirst)
          options.log.warn({ err }, 'Could not read the depth of the lanes; its metrics are missing until then.');
      },
      keepsAlive: false,
    });
  }

  async add(jobs: readonly LaneJob[]): Promise<void> {
    const now = Date.now();
    await this.#inBatches(jobs, 'add', async (queue, some, lane) => {
      await queue.addBulk(some.map((job) => storedJob(job, now)));
      this.#options.metrics.added.inc({ lane }, some.length);
    });
  }

  async cancel(jobs: readonly Pick<LaneJob, 'id' | 'lane'>[]): Promise<void> {
    await this.#inBatches(jobs, 'cancel', async (queue, some) => {
      await Promise.all(some.map(({ id }) => queue.remove(storedId(id), { removeChildren: false })));
    });
  }

  work(handlers: Readonly<Record<string, JobHandler>>): void {
    if (this.#workers !== undefined) throw new Error('The workers of the lanes run already');
    this.#workers = new LaneWorkers({ ...this.#options, handlers });
    // a process without workers leaves these metrics to the processes with workers
    this.#options.metrics.watchDepths(() => this.#depths);
    this.#reading.start();
  }

  async depths(): Promise<ByLane<LaneDepth>> {
    const all = await Promise.all(lanes.map((lane) => this.#available('read', () => this.#depth(lane))));
    return byLane((_, index) => all[index] ?? { waiting: 0, delayed: 0, running: 0, oldestMs: 0 });
  }

  async stop(): Promise<void> {
    await this.#reading.stop();
    await this.#workers?.stop();
    await this.#options.backend.close();
  }

  async #depth(lane: Lane): Promise<LaneDepth> {
    const queue = await this.#options.backend.queue(lane);
    const [counts, [oldest]] = await Promise.all([
      queue.getJobCounts('wait', 'delayed', 'active'),
      queue.getJobs(['wait'], 0, 0, true),
    ]);
    const { wait = 0, delayed = 0, active = 0 } = counts;
    // the job may have begun between the two reads
    const oldestMs = wait === 0 || oldest === undefined ? 0 : Math.max(0, Date.now() - oldest.data.at);
    return { waiting: wait, delayed, running: active, oldestMs };
  }

  async #inBatches<J extends { readonly lane: Lane }>(
    jobs: readonly J[],
    what: string,
    work: (queue: LaneQueue, some: readonly J[], lane: Lane) => Promise<void>,
  ): Promise<void> {
    for (const lane of lanes) {
      const all = jobs.filter((job) => job.lane === lane);
      for (let from = 0; from < all.length; from += batch) {
        const some = all.slice(from, from + batch);
        await this.#available(what, async () => work(await this.#options.backend.queue(lane), some, lane));
      }
    }
  }

  async #available<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new ParleyError('unavailable', `Could not ${what} jobs of the lanes: ${reason}`, { cause: error });
    }
  }
}
