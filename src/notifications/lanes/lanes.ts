/**
 * The lanes of notifications: one queue for each priority, over all nodes.
 *
 * - **Order.** The jobs of a lane begin in the order in which they are added, or are due. Lanes do not wait for each other:
 *   `slots.ts` says how many jobs of a lane a process runs at once.
 * - **At least once.** A job runs until a handler finishes the job. A process that dies during a job loses its claim on the job
 *   after `claimMs`, and another process runs the job again. Handlers therefore tolerate a second run.
 * - **The store may be lost.** A Redis without its data has no jobs. The caller keeps a row for each job in Postgres, and adds
 *   the job again. The lanes are fast, and Postgres is the truth.
 * - **Failures.** A handler that throws is called again, after an exponential backoff with full jitter. A job that has failed for
 *   `giveUpMs` is dropped, with a log line. A handler that returns `again` is called at that time, and has not failed.
 * - **Time.** A job begins at `notBefore` at the earliest. A job that is due at or after `expires` is dropped without a call.
 *
 * Every time is in milliseconds since 1970.
 */
import type { Lane } from '../../protocol/lanes.ts';
import type { ByLane } from './slots.ts';

/** Any JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

export interface LaneJob {
  /** The UUID of a row, or any text of A-Z, a-z, 0-9, `_` and `-`. */
  readonly id: string;
  readonly lane: Lane;
  /** The name of the handler, such as `webhook`. */
  readonly kind: string;
  readonly data: Json;
  readonly notBefore?: number;
  readonly expires?: number;
}

/** `again` is the time of the next call. */
export type JobResult = { readonly done: true } | { readonly again: number };

/** @param signal aborted when the process stops and can wait no longer */
export type JobHandler = (job: LaneJob, signal: AbortSignal) => Promise<JobResult>;

export interface LaneDepth {
  /** Jobs that are due. */
  readonly waiting: number;
  /** Jobs that are not due yet, among them jobs that failed and are tried again. */
  readonly delayed: number;
  readonly running: number;
  /** The time for which the oldest waiting job has been due; 0 without one. */
  readonly oldestMs: number;
}

export interface Lanes {
  /**
   * Adds jobs in batches. A job whose id is in its lane already, waiting or running, changes nothing.
   * @throws {ParleyError} `unavailable`: the store is unavailable. Some of the jobs may have been added; add all again.
   */
  add(jobs: readonly LaneJob[]): Promise<void>;
  /** Removes jobs that have not begun. Other jobs, and unknown ids, are no error. @throws {ParleyError} as `add` */
  cancel(jobs: readonly Pick<LaneJob, 'id' | 'lane'>[]): Promise<void>;
  /** Starts the workers of this process, once. A job of a kind without a handler fails. A process without this call runs no job. */
  work(handlers: Readonly<Record<string, JobHandler>>): void;
  /** @throws {ParleyError} as `add` */
  depths(): Promise<ByLane<LaneDepth>>;
  /** Begins no further job, waits for the running ones for a limited time, and closes the connections. */
  stop(): Promise<void>;
}
