/** The metrics of jobs: the work of REST that takes longer than a request. */
import { Counter, Histogram, type Registry } from 'prom-client';
import { watchedGauge } from './watched-gauge.ts';

const seconds = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600];

export class JobMetrics {
  readonly #registry: Registry;
  readonly entered: Counter<'kind' | 'state'>;
  readonly seconds: Histogram<'kind'>;
  readonly refused: Counter<'limit'>;

  constructor(registry: Registry) {
    this.#registry = registry;
    const registers = [registry];
    this.entered = new Counter({
      name: 'parley_jobs_total',
      help: 'Jobs that entered a state on this node: queued, running, done, failed or cancelled',
      labelNames: ['kind', 'state'],
      registers,
    });
    this.seconds = new Histogram({
      name: 'parley_job_seconds',
      help: 'Time of the last run of a job that ended',
      labelNames: ['kind'],
      buckets: seconds,
      registers,
    });
    this.refused = new Counter({
      name: 'parley_jobs_refused_total',
      help: 'Jobs that were refused at a limit: of the caller, of all callers, or of exports on this node',
      labelNames: ['limit'],
      registers,
    });
  }

  /** `/metrics` reads the number of runs. */
  watchRunning(read: () => number): void {
    watchedGauge(this.#registry, 'parley_jobs_running', 'Jobs that run on this node', read);
  }
}
