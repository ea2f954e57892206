/** One run of a job, as the work of its kind sees it. */
import type { postgres } from '../../storage/sql.ts';
import type { JobInput, JobPlace, JobProgress, JobResult } from './job-row.ts';

/** `cancelled`: by the caller. `lost`: another node has the job. `stopping`: the next run goes on, on any node. */
export type JobEnd = 'cancelled' | 'lost' | 'stopping';

/** The run may not go on. */
export class JobEnded extends Error {
  readonly end: JobEnd;

  constructor(end: JobEnd) {
    super(`The run of the job has ended: ${end}.`);
    this.name = 'JobEnded';
    this.end = end;
  }
}

/** The work failed for a reason in its input, which the caller reads. */
export class JobFailed extends Error {
  readonly code: 'invalid' | 'not_found' | 'too_large';
  readonly line: number | undefined;

  constructor(code: JobFailed['code'], message: string, line?: number, cause?: unknown) {
    super(message, { cause });
    this.name = 'JobFailed';
    this.code = code;
    this.line = line;
  }
}

export interface JobRun<I extends JobInput = JobInput> {
  readonly id: string;
  readonly run: number;
  readonly input: I;
  /** The progress of the runs before. */
  readonly progress: JobProgress;
  readonly place: JobPlace | null;
  /** Aborted with a `JobEnded` when the run may not go on. */
  readonly signal: AbortSignal;
  /**
   * Saves how far the job is. In a transaction of the work itself, nothing is done twice: the work and the place are stored
   * together, or neither of them.
   * @param sql a transaction, or the pool
   * @throws {JobEnded}
   */
  save(sql: postgres.ISql, progress: JobProgress, place?: JobPlace): Promise<void>;
}

/** The work of a kind. @throws {JobEnded | JobFailed} @returns the result */
export type Work<I extends JobInput> = (run: JobRun<I>) => Promise<JobResult>;
