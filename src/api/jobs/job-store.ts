/**
 * The table of jobs.
 *
 * (receiving ── the body is there ──▶) queued ── a node takes it ──▶ running ── its work ends ──▶ done or failed;
 * queued or running ── `cancel` ──▶ cancelled;
 * running ── its node stops ──▶ queued; running ── its node died, and the lease ended ──▶ running on another node;
 * receiving ── the body was cut off ──▶ absent, or failed where an Idempotency-Key lets the caller send it again;
 * done, failed or cancelled ── a day ──▶ absent.
 *
 * Requests that add a job, nodes that take one, and sweeps lock the row of `job_queue` first. So each of them counts what the
 * others did, and no two of them wait for the rows of each other. Each run has a number. A run whose number is not that of the row writes nothing.
 */
import { randomUUID } from 'node:crypto';
import { ParleyError } from '../../protocol/errors.ts';
import type { JobKind, JobState } from '../../protocol/jobs.ts';
import { RestError } from '../../protocol/rest-errors.ts';
import type { postgres } from '../../storage/sql.ts';
import {
  jobRow,
  type JobFault,
  type JobInputs,
  type JobPlace,
  type JobProgress,
  type JobResult,
  type JobRow,
  type StoredJobRow,
} from './job-row.ts';
import { JobEnded } from './job-run.ts';

export interface JobLimits {
  /** Jobs of all callers that have not ended. */
  readonly maxJobs: number;
  readonly maxJobsPerCaller: number;
  /** Jobs of one caller that run at a time, over all nodes. */
  readonly jobsAtOncePerCaller: number;
}

/** The caller of a job. */
export interface JobOwner {
  readonly owner: string;
  /** Undefined: a token. */
  readonly apiKey: string | undefined;
}

export interface NewJob<K extends JobKind = JobKind> extends JobOwner {
  readonly kind: K;
  readonly input: JobInputs[K];
  readonly idempotencyKey?: string | undefined;
}

export interface BegunJob {
  readonly job: JobRow;
  /** An earlier request with the same Idempotency-Key made the job. */
  readonly isRepeated: boolean;
}

export interface JobFilter {
  /** Undefined: the jobs of all callers. */
  readonly owner: string | undefined;
  readonly state?: JobState | undefined;
  readonly kind?: JobKind | undefined;
  /** Jobs before this place. */
  readonly before?: number | undefined;
  readonly limit: number;
}

export type RunOutcome =
  | { readonly state: 'done'; readonly result: JobResult }
  | { readonly state: 'failed' | 'cancelled'; readonly error: JobFault | null };

/** The lease of a run, which its node extends each second. */
export const leaseMs = 15_000;
/** A body may arrive slowly: 16 KiB/s, in parts of 256 KiB. */
const receivingMs = 60_000;
const keptMs = 86_400_000;
const prunedAtOnce = 100;
/** Runs of a job without progress: each of them ended with its node. */
const maxTries = 5;

const revoked: JobFault = { code: 'unauthorized', message: 'The API key of the job was revoked, or has expired.' };
const cutOff: JobFault = { code: 'invalid', message: 'The body of the request was cut off; send it again.' };
const unfinished: JobFault = { code: 'internal', message: `The job ended ${maxTries} times with its node.` };

export class JobStore {
  readonly #sql: postgres.Sql;
  readonly #limits: JobLimits;

  constructor(sql: postgres.Sql, limits: JobLimits) {
    this.#sql = sql;
    this.#limits = limits;
  }

  /**
   * Adds a job, or finds the one of an earlier request with the same Idempotency-Key. An import whose body was cut off, that
   * failed or was cancelled begins again at its place.
   * @throws {ParleyError} `overloaded` or `limit_reached` @throws {RestError} `in_progress`
   */
  begin(job: NewJob, state: 'receiving' | 'queued'): Promise<BegunJob> {
    const { kind, owner, apiKey = null, idempotencyKey = null, input } = job;
    const lease = state === 'receiving' ? receivingMs : null;
    return this.#sql.begin(async (tx) => {
      await tx`select from job_queue for update`;
      const [earlier] = await tx<StoredJobRow[]>`
        select * from jobs where owner = ${owner} and idempotency_key = ${idempotencyKey} for no key update`;
      if (earlier?.state === 'receiving') throw new RestError('in_progress', undefined, { retryAfter: 1000 });
      if (earlier !== undefined && earlier.kind !== kind) throw new RestError('idempotency_mismatch');
      const ended = earlier?.state === 'failed' || earlier?.state === 'cancelled';
      if (earlier !== undefined && !ended) return { job: jobRow(earlier), isRepeated: true };
      await this.#requirePlace(tx, owner);
      const [row] = await (earlier === undefined
        ? tx<[StoredJobRow]>`
            insert into jobs (id, kind, owner, api_key, idempotency_key, state, input, lease_until)
            values (${randomUUID()}, ${kind}, ${owner}, ${apiKey}, ${idempotencyKey}, ${state},
              ${JSON.stringify(input)}::text::jsonb, clock_timestamp() + ${lease}::int8 * interval '1 ms')
            returning *`
        : tx<[StoredJobRow]>`
            update jobs set state = ${state}, input = ${JSON.stringify(input)}::text::jsonb, error = null, result = null,
              cancelling = false, ended_at = null, run = run + 1, tries = 0, updated_at = clock_timestamp(),
              lease_until = clock_timestamp() + ${lease}::int8 * interval '1 ms'
            where id = ${earlier.id} returning *`);
      return { job: jobRow(row), isRepeated: false };
    });
  }

  async #requirePlace(tx: postgres.TransactionSql, owner: string): Promise<void> {
    const { maxJobs, maxJobsPerCaller } = this.#limits;
    const [{ all, own }] = await tx<[{ all: number; own: number }]>`
      select count(*) as all, count(*) filter (where owner = ${owner}) as own from jobs
      where state in ('receiving', 'queued', 'running')`;
    if (own >= maxJobsPerCaller) {
      const detail = 'You have as many jobs as a caller may have (PARLEY_MAX_JOBS_PER_CALLER).';
      throw new ParleyError('limit_reached', detail);
    }
    if (all < maxJobs) return;
    const detail = 'The server has as many jobs as it may have (PARLEY_MAX_JOBS).';
    throw new ParleyError('overloaded', detail, { retryAfter: 5000 });
  }

  /** Stores a part of the body, and extends the lease. @returns false: the job does not receive any more. */
  async addPart({ id, run }: Pick<JobRow, 'id' | 'run'>, n: number, bytes: Buffer): Promise<boolean> {
    const rows = await this.#sql`
      with held as (
        update jobs set lease_until = clock_timestamp() + ${receivingMs} * interval '1 ms'
        where id = ${id} and run = ${run} and state = 'receiving' returning id
      )
      insert into job_parts (job, n, bytes) select id, ${n}, ${bytes} from held returning n`;
    return rows.length > 0;
  }

  /** The whole body is there. @returns undefined: the job does not receive any more. */
  async received({ id, run }: Pick<JobRow, 'id' | 'run'>, bytes: number): Promise<JobRow | undefined> {
    const [row] = await this.#sql<StoredJobRow[]>`
      update jobs set state = 'queued', lease_until = null, updated_at = clock_timestamp(),
        progress = progress || jsonb_build_object('bytes', ${bytes}::int8)
      where id = ${id} and run = ${run} and state = 'receiving' returning *`;
    return row === undefined ? undefined : jobRow(row);
  }

  /** The body was cut off. */
  async cutOff({ id, run }: Pick<JobRow, 'id' | 'run'>): Promise<void> {
    await this.#sql.begin(async (tx) => {
      // another body that was cut off, or the sweep of a node, would wait for this job while this one waits for theirs
      await tx`select from job_queue for update`;
      await tx`update jobs set lease_until = clock_timestamp() where id = ${id} and run = ${run} and state = 'receiving'`;
      await sweepBodies(tx);
    });
  }

  /** Takes the oldest job that may run. @returns undefined: there is none. */
  take(node: string): Promise<JobRow | undefined> {
    const { jobsAtOncePerCaller } = this.#limits;
    return this.#sql.begin(async (tx) => {
      await tx`select from job_queue for update`;
      const [row] = await tx<StoredJobRow[]>`
        update jobs set state = 'running', node = ${node}, run = run + 1, tries = tries + 1,
          lease_until = clock_timestamp() + ${leaseMs} * interval '1 ms',
          started_at = coalesce(started_at, clock_timestamp()), updated_at = clock_timestamp()
        where id = (
          select j.id from jobs j
          where (j.state = 'running' and j.lease_until < clock_timestamp() and not j.cancelling and j.tries < ${maxTries})
            or (j.state = 'queued' and (
              select count(*) from jobs o where o.owner = j.owner and o.state = 'running') < ${jobsAtOncePerCaller})
          order by j.n limit 1 for no key update skip locked)
        returning *`;
      return row === undefined ? undefined : jobRow(row);
    });
  }

  /** Whether there is a job for `take` or `sweep`. */
  async isDue(): Promise<boolean> {
    const [row] = await this.#sql`
      select from jobs where state in ('receiving', 'queued', 'running')
        and (state = 'queued' or lease_until < clock_timestamp()) limit 1`;
    return row !== undefined;
  }

  /** Ends the jobs that no node may run: those of revoked keys, of bodies without a node, and of runs that fail again and again. */
  async sweep(): Promise<readonly Pick<JobRow, 'id' | 'kind' | 'state'>[]> {
    return this.#sql.begin(async (tx) => {
      await tx`select from job_queue for update`;
      const bodies = await sweepBodies(tx);
      const ended = await tx<Pick<JobRow, 'id' | 'kind' | 'state'>[]>`
        update jobs j set state = c.state, error = c.error, ended_at = clock_timestamp(), updated_at = clock_timestamp()
        from (
          select id, case when cancelling or state = 'queued' then 'cancelled' else 'failed' end as state,
            case when state = 'queued' then ${JSON.stringify(revoked)}::text::jsonb
              when not cancelling then ${JSON.stringify(unfinished)}::text::jsonb end as error
          from jobs a
          where (state = 'running' and lease_until < clock_timestamp() and (cancelling or tries >= ${maxTries}))
            or (state = 'queued' and api_key is not null and not exists (
              select from api_keys k where k.id = a.api_key and coalesce(k.expires_at > clock_timestamp(), true)))
          for no key update skip locked
        ) c where j.id = c.id returning j.id, j.kind, j.state`;
      if (ended.length > 0) await tx`delete from job_parts where job = any (${ended.map(({ id }) => id)}::uuid[])`;
      return [...bodies, ...ended];
    });
  }

  /** Extends the leases of the runs of this node. @returns the runs that it still has, and whether they were cancelled. */
  extend(runs: readonly Pick<JobRow, 'id' | 'run'>[]): Promise<readonly Pick<JobRow, 'id' | 'cancelling'>[]> {
    return this.#sql<Pick<JobRow, 'id' | 'cancelling'>[]>`
      update jobs j set lease_until = clock_timestamp() + ${leaseMs} * interval '1 ms'
      from unnest(${runs.map(({ id }) => id)}::uuid[], ${runs.map(({ run }) => run)}::integer[]) as r (id, run)
      where j.id = r.id and j.run = r.run and j.state = 'running' returning j.id, j.cancelling`;
  }

  /** See `JobRun.save`. @throws {JobEnded} */
  async save(
    sql: postgres.ISql,
    { id, run }: Pick<JobRow, 'id' | 'run'>,
    progress: JobProgress,
    place: JobPlace | undefined,
  ): Promise<void> {
    const [row] = await sql<{ cancelling: boolean }[]>`
      update jobs set progress = progress || ${JSON.stringify(progress)}::text::jsonb, tries = 0,
        place = coalesce(${place === undefined ? null : JSON.stringify(place)}::text::jsonb, place), updated_at = clock_timestamp()
      where id = ${id} and run = ${run} and state = 'running' returning cancelling`;
    if (row === undefined) throw new JobEnded('lost');
    if (row.cancelling) throw new JobEnded('cancelled');
  }

  /** @param keepsParts the parts are the result @returns false: another run has the job. */
  async finish({ id, run }: Pick<JobRow, 'id' | 'run'>, outcome: RunOutcome, keepsParts: boolean): Promise<boolean> {
    const result = outcome.state === 'done' ? JSON.stringify(outcome.result) : null;
    const error = outcome.state === 'done' || outcome.error === null ? null : JSON.stringify(outcome.error);
    const ended = await this.#sql`
      with ended as (
        update jobs set state = ${outcome.state}, result = ${result}::text::jsonb, error = ${error}::text::jsonb,
          lease_until = null, ended_at = clock_timestamp(), updated_at = clock_timestamp()
        where id = ${id} and run = ${run} and state = 'running' returning id
      ), removed as (
        delete from job_parts p using ended e where p.job = e.id and not ${keepsParts}
      )
      select from ended`;
    return ended.length > 0;
  }

  /** Another run goes on, after a pause. The pause of a node that stops is 0. */
  async release({ id, run }: Pick<JobRow, 'id' | 'run'>, pauseMs: number): Promise<void> {
    await this.#sql`
      update jobs set lease_until = clock_timestamp() + ${pauseMs} * interval '1 ms', updated_at = clock_timestamp(),
        state = case when ${pauseMs}::integer = 0 then 'queued' else state end,
        tries = tries - 1
      where id = ${id} and run = ${run} and state = 'running'`;
  }

  /** The leases of dead processes end at once, where no other process has this database. */
  async forgetOthers(): Promise<void> {
    await this.#sql`
      update jobs set lease_until = clock_timestamp() - interval '1 ms' where state in ('receiving', 'running')`;
  }

  /** A job that has ended stays as it is. @returns undefined: the caller has no such job. */
  async cancel(id: string, owner: string | undefined): Promise<JobRow | undefined> {
    const [row] = await this.#sql<StoredJobRow[]>`
      update jobs set cancelling = cancelling or state = 'running',
        state = case state when 'queued' then 'cancelled' else state end,
        ended_at = case state when 'queued' then clock_timestamp() else ended_at end,
        updated_at = case when state in ('queued', 'running') then clock_timestamp() else updated_at end
      where id = ${id} and state <> 'receiving' ${owner === undefined ? this.#sql`` : this.#sql`and owner = ${owner}`}
      returning *`;
    if (row?.state === 'cancelled' && row.kind !== 'export') await this.#sql`delete from job_parts where job = ${id}`;
    return row === undefined ? undefined : jobRow(row);
  }

  async read(id: string, owner: string | undefined): Promise<JobRow | undefined> {
    const [row] = await this.#sql<StoredJobRow[]>`
      select * from jobs where id = ${id} and state <> 'receiving'
        ${owner === undefined ? this.#sql`` : this.#sql`and owner = ${owner}`}`;
    return row === undefined ? undefined : jobRow(row);
  }

  /** The newest first. */
  async list({ owner, state, kind, before, limit }: JobFilter): Promise<readonly JobRow[]> {
    const sql = this.#sql;
    const rows = await sql<StoredJobRow[]>`
      select * from jobs
      where state <> 'receiving' and n < ${before ?? Number.MAX_SAFE_INTEGER}
        ${owner === undefined ? sql`` : sql`and owner = ${owner}`}
        ${state === undefined ? sql`` : sql`and state = ${state}`}
        ${kind === undefined ? sql`` : sql`and kind = ${kind}`}
      order by n desc limit ${limit}`;
    return rows.map(jobRow);
  }

  /** Deletes jobs that ended a day ago. */
  async prune(): Promise<void> {
    for (;;) {
      const { count } = await this.#sql`
        delete from jobs where id in (
          select id from jobs where ended_at < clock_timestamp() - ${keptMs} * interval '1 ms'
          order by ended_at limit ${prunedAtOnce} for update skip locked)`;
      if (count < prunedAtOnce) return;
    }
  }
}

/** Bodies that no node receives any more. The caller of one with an Idempotency-Key may send it again. */
async function sweepBodies(tx: postgres.TransactionSql): Promise<readonly Pick<JobRow, 'id' | 'kind' | 'state'>[]> {
  const failed = await tx<Pick<JobRow, 'id' | 'kind' | 'state'>[]>`
    update jobs set state = 'failed', error = ${JSON.stringify(cutOff)}::text::jsonb, ended_at = clock_timestamp(),
      updated_at = clock_timestamp(), lease_until = null
    where state = 'receiving' and lease_until <= clock_timestamp() and idempotency_key is not null
    returning id, kind, state`;
  if (failed.length > 0) await tx`delete from job_parts where job = any (${failed.map(({ id }) => id)}::uuid[])`;
  await tx`
    delete from jobs where state = 'receiving' and lease_until <= clock_timestamp() and idempotency_key is null`;
  return failed;
}
