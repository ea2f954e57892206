/** The jobs of REST on a node: they are added here, read and cancelled here, and the runner runs them. */
import { ParleyError } from '../../protocol/errors.ts';
import type { Job, JobKind } from '../../protocol/jobs.ts';
import type { postgres } from '../../storage/sql.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { PartBuffer } from './job-parts.ts';
import { jobOf, type JobRow } from './job-row.ts';
import { JobRunner, type Works } from './job-runner.ts';
import { JobStore, type BegunJob, type JobFilter, type JobLimits, type NewJob } from './job-store.ts';

export interface JobSettings extends JobLimits {
  /** Jobs that run on this node at a time. */
  readonly jobsAtOnce: number;
}

export interface JobsParts {
  readonly sql: postgres.Sql;
  readonly works: Works;
  readonly settings: JobSettings;
  readonly node: string;
  readonly metrics: Pick<Metrics, 'jobs'>;
  readonly log: Log;
}

export interface JobPage {
  readonly jobs: readonly Job[];
  readonly next: number | null;
  readonly more: boolean;
}

export class Jobs {
  readonly #parts: JobsParts;
  readonly #store: JobStore;
  readonly #runner: JobRunner;
  readonly #receiving = new Set<Promise<unknown>>();
  #isStopping = false;

  constructor(parts: JobsParts) {
    const { sql, settings } = parts;
    this.#parts = parts;
    this.#store = new JobStore(sql, settings);
    this.#runner = new JobRunner({ ...parts, store: this.#store, jobsAtOnce: settings.jobsAtOnce });
  }

  start(alone: boolean): Promise<void> {
    return this.#runner.start(alone);
  }

  /** Bodies are cut off, and runs end at their next step. Another node goes on with the runs, or this one after its start. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#runner.stop();
    await Promise.allSettled(this.#receiving);
  }

  /** @throws {ParleyError} `overloaded`, `limit_reached` or `draining` */
  async add<K extends JobKind>(job: NewJob<K>): Promise<Job> {
    const begun = await this.#begin(job, 'queued');
    this.#queued(begun.job);
    return jobOf(begun.job);
  }

  /**
   * Adds a job whose input is the body of the request.
   * @throws {ParleyError} as `add`, and the errors of reading a body
   */
  async receive<K extends JobKind>(
    job: NewJob<K>,
    body: AsyncIterable<Uint8Array>,
  ): Promise<{ readonly job: Job; readonly isRepeated: boolean }> {
    const begun = await this.#begin(job, 'receiving');
    if (begun.isRepeated) return { job: jobOf(begun.job), isRepeated: true };
    const receiving = this.#receive(begun.job, body);
    this.#receiving.add(receiving);
    try {
      const row = await receiving;
      this.#queued(row);
      return { job: jobOf(row), isRepeated: false };
    } finally {
      this.#receiving.delete(receiving);
    }
  }

  /** @param owner undefined: the caller may see the jobs of all callers */
  async read(id: string, owner: string | undefined): Promise<Job> {
    return jobOf(found(await this.#store.read(id, owner)));
  }

  async list(filter: JobFilter): Promise<JobPage> {
    const rows = await this.#store.list({ ...filter, limit: filter.limit + 1 });
    const page = rows.slice(0, filter.limit);
    const more = rows.length > page.length;
    return { jobs: page.map(jobOf), next: more ? (page.at(-1)?.n ?? null) : null, more };
  }

  async cancel(id: string, owner: string | undefined): Promise<Job> {
    const row = found(await this.#store.cancel(id, owner));
    const { kind, state } = row;
    if (state === 'cancelled') this.#parts.metrics.jobs.entered.inc({ kind, state });
    this.#runner.cancelled(id);
    return jobOf(row);
  }

  async #begin(job: NewJob, state: 'receiving' | 'queued'): Promise<BegunJob> {
    this.#requireRunning();
    try {
      return await this.#store.begin(job, state);
    } catch (error) {
      const code = error instanceof ParleyError ? error.code : undefined;
      if (code === 'limit_reached') this.#parts.metrics.jobs.refused.inc({ limit: 'caller' });
      if (code === 'overloaded') this.#parts.metrics.jobs.refused.inc({ limit: 'all' });
      throw error;
    }
  }

  async #receive(job: JobRow, body: AsyncIterable<Uint8Array>): Promise<JobRow> {
    try {
      const parts = new PartBuffer(async (n, bytes) => {
        if (!(await this.#store.addPart(job, n, bytes))) throw gone();
      });
      for await (const bytes of body) {
        this.#requireRunning();
        await parts.add(bytes);
      }
      await parts.flush();
      if (parts.total === 0) throw new ParleyError('invalid', 'The request has no body.');
      const row = await this.#store.received(job, parts.total);
      if (row === undefined) throw gone();
      return row;
    } catch (error) {
      await this.#store.cutOff(job);
      throw error;
    }
  }

  #queued({ id, kind, owner }: JobRow): void {
    const { metrics, log } = this.#parts;
    metrics.jobs.entered.inc({ kind, state: 'queued' });
    log.info({ job: id, kind, owner }, 'A job was added.');
    this.#runner.wake();
  }

  #requireRunning(): void {
    if (this.#isStopping) throw new ParleyError('draining', undefined, { retryAfter: 1000 });
  }
}

function found(row: JobRow | undefined): JobRow {
  if (row === undefined) throw new ParleyError('not_found', 'There is no such job, or it is of another caller.');
  return row;
}

/** The lease of the body has ended: the process was suspended, or Postgres did not answer. */
function gone(): ParleyError {
  return new ParleyError('unavailable', 'The body took too long to store; send it again.', { retryAfter: 1000 });
}
