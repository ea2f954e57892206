/**
 * The lanes of the app: the rows of the ledger that wait are the queue. Each second the
 * task takes rows that are due, the most urgent lane first. A row that its handler does not settle is due again later.
 */
import { PeriodicTask } from '../jobs/periodic-task.ts';
import { lanes as laneNames, type Lane } from '../protocol/lanes.ts';
import type { postgres } from '../storage/sql.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { JobHandler, LaneJob, Lanes } from './lanes/lanes.ts';
import { jobKind, jobOf } from './waiting-jobs.ts';

export interface LedgerLanesParts {
  readonly sql: postgres.Sql;
  readonly now: () => number;
  readonly metrics: Metrics;
  readonly log: Log;
}

const everyMs = 1000;
const rowsAtOnce = 200;

export class LedgerLanes implements Pick<Lanes, 'add' | 'cancel' | 'work' | 'stop'> {
  readonly #parts: LedgerLanesParts;
  #task: PeriodicTask | undefined = undefined;

  constructor(parts: LedgerLanesParts) {
    this.#parts = parts;
  }

  /** The row is stored already, so only the time of the next run may change. */
  add(jobs: readonly LaneJob[]): Promise<void> {
    const first = Math.min(...jobs.map(({ notBefore = 0 }) => notBefore));
    this.#task?.wake(Math.max(0, Math.min(everyMs, first - this.#parts.now())));
    return Promise.resolve();
  }

  /** A row that does not wait any more is never taken. */
  cancel(): Promise<void> {
    return Promise.resolve();
  }

  work({ [jobKind]: handler }: Readonly<Record<string, JobHandler>>): void {
    if (handler === undefined) return;
    const { metrics, log } = this.#parts;
    this.#task = new PeriodicTask({
      run: (signal) => this.#run(handler, signal),
      everyMs,
      jitter: 0.2,
      failed: (error, isFirst) => {
        metrics.notifications.failures.inc({ step: 'jobs' });
        if (isFirst)
          log.warn({ err: error }, 'Could not deliver waiting notifications; retrying. Users get them late.');
      },
    });
    this.#task.start();
  }

  async stop(): Promise<void> {
    await this.#task?.stop();
  }

  async #run(handler: JobHandler, signal: AbortSignal): Promise<void> {
    let rows: readonly { id: string; at: number; lane: Lane; due: number }[];
    do {
      rows = await this.#parts.sql`
        select id, at, lane, due_at as due from notifications
        where state = 'waiting' and channel = 'app' and due_at <= ${this.#parts.now()}::timestamptz
        order by array_position(${[...laneNames]}::text[], lane), due_at limit ${rowsAtOnce}`;
      await Promise.all(rows.map((row) => handler(jobOf({ ...row, channel: 'app' }), signal)));
    } while (!signal.aborted && rows.length === rowsAtOnce);
  }
}
