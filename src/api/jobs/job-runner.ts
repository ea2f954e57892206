/**
 * Runs jobs on this node: at most `jobsAtOnce` at a time. A node polls for jobs once a second, and at once after a job was
 * added here. Each second it extends the leases of its runs, and learns there that a job was cancelled.
 */
import { hostname } from 'node:os';
import type { JobKind } from '../../protocol/jobs.ts';
import { ParleyError } from '../../protocol/errors.ts';
import { PeriodicTask } from '../../jobs/periodic-task.ts';
import { failureOf } from '../../storage/failure.ts';
import type { postgres } from '../../storage/sql.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { JobFault, JobInputs, JobRow } from './job-row.ts';
import { JobEnded, JobFailed, type JobEnd, type JobRun, type Work } from './job-run.ts';
import { leaseMs, type JobStore, type RunOutcome } from './job-store.ts';

export type Works = { readonly [K in JobKind]: Work<JobInputs[K]> };

export interface JobRunnerParts {
  readonly store: JobStore;
  readonly works: Works;
  readonly node: string;
  readonly jobsAtOnce: number;
  readonly metrics: Pick<Metrics, 'jobs'>;
  readonly log: Log;
}

interface Running {
  readonly row: JobRow;
  readonly stop: AbortController;
  /** When the lease was extended last. */
  extendedAt: number;
  readonly ended: Promise<void>;
}

const everyMs = 1000;
const pruneEveryMs = 600_000;
/** The pause of a job after the database failed in its run. */
const retryMs = 5000;
/** The parts of an export are its result. */
const keepsParts = (kind: JobKind): boolean => kind === 'export';

export class JobRunner {
  readonly #parts: JobRunnerParts;
  readonly #running = new Map<string, Running>();
  readonly #polls: PeriodicTask;
  readonly #beats: PeriodicTask;
  readonly #prunes: PeriodicTask;
  #isStopping = false;

  constructor(parts: JobRunnerParts) {
    this.#parts = parts;
    const { log, metrics, store } = parts;
    const failed = (line: string) => (err: unknown, isFirst: boolean) => {
      if (isFirst) log.warn({ err }, line);
    };
    this.#polls = new PeriodicTask({
      run: () => this.#poll(),
      everyMs,
      jitter: 0.3,
      keepsAlive: false,
      failed: failed('Could not read the jobs in Postgres; retrying. No job begins on this node until then.'),
    });
    this.#beats = new PeriodicTask({
      run: () => this.#beat(),
      everyMs,
      keepsAlive: false,
      failed: failed('Could not extend the leases of jobs; retrying. Another node takes the jobs on after 15 s.'),
    });
    this.#prunes = new PeriodicTask({
      run: () => store.prune(),
      everyMs: pruneEveryMs,
      jitter: 0.3,
      keepsAlive: false,
      failed: failed('Could not delete old jobs; retrying. Their rows take space in Postgres until then.'),
    });
    metrics.jobs.watchRunning(() => this.#running.size);
  }

  /** @param alone no other process has this database, so that the jobs of a dead process go on at once */
  async start(alone: boolean): Promise<void> {
    if (alone) await this.#parts.store.forgetOthers();
    this.#polls.start();
    this.#beats.startLater();
    this.#prunes.startLater();
  }

  /** A job was added. */
  wake(): void {
    this.#polls.wake();
  }

  /** A job was cancelled: a run here ends now, a run of another node within a second. */
  cancelled(id: string): void {
    this.#end(this.#running.get(id), 'cancelled');
  }

  /** The runs of this node end at their next step, and other nodes go on. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#polls.stop();
    for (const running of this.#running.values()) this.#end(running, 'stopping');
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
    await Promise.all([this.#beats.stop(), this.#prunes.stop()]);
  }

  #end(running: Running | undefined, end: JobEnd): void {
    running?.stop.abort(new JobEnded(end));
  }

  async #poll(): Promise<void> {
    const { store, node, jobsAtOnce, metrics, log } = this.#parts;
    if (!(await store.isDue())) return;
    for (const { id, kind, state } of await store.sweep()) {
      if (state === 'receiving') continue;
      metrics.jobs.entered.inc({ kind, state });
      log.warn({ job: id, kind, state }, 'The server ended a job that no node may run.');
    }
    while (!this.#isStopping && this.#running.size < jobsAtOnce) {
      const row = await store.take(`${hostname()}/${node}`);
      if (row === undefined) return;
      this.#begin(row);
    }
  }

  #begin(row: JobRow): void {
    const stop = new AbortController();
    const ended = this.#run(row, stop.signal).finally(() => {
      this.#running.delete(row.id);
      if (!this.#isStopping) this.#polls.wake();
    });
    this.#running.set(row.id, { row, stop, ended, extendedAt: performance.now() });
    // the stop may have come while the job was taken
    if (this.#isStopping) stop.abort(new JobEnded('stopping'));
  }

  async #run(row: JobRow, signal: AbortSignal): Promise<void> {
    const { metrics, log } = this.#parts;
    const { id, kind, run } = row;
    const from = performance.now();
    metrics.jobs.entered.inc({ kind, state: 'running' });
    log.info({ job: id, kind, run }, 'A job runs.');
    try {
      const outcome = await this.#outcome(row, signal);
      if (outcome === undefined) return;
      if (!(await this.#parts.store.finish(row, outcome, keepsParts(kind) && outcome.state === 'done'))) return;
      const seconds = (performance.now() - from) / 1000;
      metrics.jobs.entered.inc({ kind, state: outcome.state });
      metrics.jobs.seconds.observe({ kind }, seconds);
      log.info({ job: id, kind, state: outcome.state, seconds }, 'A job ended.');
    } catch (err) {
      log.warn({ err, job: id, kind }, 'Could not store the outcome of a job; its lease ends, and the job runs again.');
    }
  }

  /** @returns undefined: the job goes on in another run. */
  async #outcome(row: JobRow, signal: AbortSignal): Promise<RunOutcome | undefined> {
    const { store, works, log } = this.#parts;
    const work = works[row.kind] as Work<JobRow['input']>;
    const run: JobRun = {
      ...row,
      signal,
      save: async (sql: postgres.ISql, progress, place) => {
        signal.throwIfAborted();
        await store.save(sql, row, progress, place);
      },
    };
    try {
      return { state: 'done', result: await work(run) };
    } catch (thrown) {
      const error = thrown instanceof Error && signal.aborted ? (signal.reason as Error) : thrown;
      if (error instanceof JobEnded) {
        if (error.end === 'cancelled') return { state: 'cancelled', error: null };
        if (error.end === 'stopping') await store.release(row, 0);
        else log.warn({ job: row.id, kind: row.kind }, 'Another node took a job on; the run here has ended.');
        return undefined;
      }
      if (failureOf(error) === 'transient') {
        log.warn(
          { err: error, job: row.id, kind: row.kind },
          'The database failed in a job; the job goes on after 5 s.',
        );
        await store.release(row, retryMs);
        return undefined;
      }
      return { state: 'failed', error: this.#fault(row, error) };
    }
  }

  #fault({ id, kind }: JobRow, error: unknown): JobFault {
    if (error instanceof JobFailed) {
      const { code, message, line } = error;
      return { code, message, ...(line === undefined ? {} : { line }) };
    }
    if (error instanceof ParleyError) return { code: error.code, message: error.message };
    this.#parts.log.error({ err: error, job: id, kind }, 'A job failed; its error has the code `internal`.');
    const { code, message } = new ParleyError('internal');
    return { code, message };
  }

  async #beat(): Promise<void> {
    if (this.#running.size === 0) return;
    const runs = [...this.#running.values()];
    const from = performance.now();
    try {
      const held = new Map((await this.#parts.store.extend(runs.map(({ row }) => row))).map((row) => [row.id, row]));
      for (const running of runs) {
        const row = held.get(running.row.id);
        if (row === undefined) this.#end(running, 'lost');
        else if (row.cancelling) this.#end(running, 'cancelled');
        else running.extendedAt = from;
      }
    } finally {
      for (const running of runs) if (from - running.extendedAt > leaseMs) this.#end(running, 'lost');
    }
  }
}
