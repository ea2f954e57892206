/** The metrics of lanes: the queues of notifications. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** The figures of one lane over all nodes. */
export interface LaneReading {
  readonly waiting: number;
  readonly delayed: number;
  readonly running: number;
  readonly oldestMs: number;
}

const states = ['waiting', 'delayed', 'running'] as const;

export class LaneMetrics {
  readonly #registry: Registry;
  readonly added: Counter<'lane'>;
  /** Label outcome: done, again, failed, expired or dropped. */
  readonly ran: Counter<'lane' | 'outcome'>;
  /** From the time at which a job is due to its first call. */
  readonly waitSeconds: Histogram<'lane'>;
  readonly stalled: Counter<'lane'>;

  constructor(registry: Registry) {
    this.#registry = registry;
    const registers = [registry];
    this.added = new Counter({
      name: 'parley_lane_added_total',
      help: 'Jobs that this node added to a lane',
      labelNames: ['lane'],
      registers,
    });
    this.ran = new Counter({
      name: 'parley_lane_jobs_total',
      help: 'Runs of jobs of a lane on this node, by outcome: done, again, failed, expired or dropped',
      labelNames: ['lane', 'outcome'],
      registers,
    });
    this.waitSeconds = new Histogram({
      name: 'parley_lane_wait_seconds',
      help: 'Time from the moment at which a job is due to its run on this node',
      labelNames: ['lane'],
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 600, 3600],
      registers,
    });
    this.stalled = new Counter({
      name: 'parley_lane_stalled_total',
      help: 'Jobs that this node put back because their process ended during their run',
      labelNames: ['lane'],
      registers,
    });
  }

  /** `/metrics` reads the last figures. @param read undefined: the queues could not be read */
  watchDepths(read: () => Readonly<Record<string, LaneReading>> | undefined): void {
    // every worker of a group reads the same queues
    const shared = { registers: [this.#registry], aggregator: 'max' as const };
    new Gauge({
      ...shared,
      name: 'parley_lane_depth',
      help: 'Jobs of a lane over all nodes, by state: waiting, delayed or running',
      labelNames: ['lane', 'state'],
      collect() {
        this.reset();
        for (const [lane, depth] of Object.entries(read() ?? {}))
          for (const state of states) this.set({ lane, state }, depth[state]);
      },
    });
    new Gauge({
      ...shared,
      name: 'parley_lane_oldest_seconds',
      help: 'Time for which the oldest waiting job of a lane has been due',
      labelNames: ['lane'],
      collect() {
        this.reset();
        for (const [lane, { oldestMs }] of Object.entries(read() ?? {})) this.set({ lane }, oldestMs / 1000);
      },
    });
  }
}
