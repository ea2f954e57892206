/** A job as the table has it, and as its caller sees it. */
import type { Job, JobKind, JobState } from '../../protocol/jobs.ts';

/** The input of a job of each kind. */
export interface JobInputs {
  /** `from`: the first line that is stored. */
  readonly import: { readonly from: number };
  readonly export: Readonly<Record<string, never>>;
  readonly 'user:delete': { readonly user: string; readonly keepMessages: boolean };
  /** The messages before the seq expire. */
  readonly 'room:purge': { readonly room: string; readonly before: number };
}

export type JobInput = JobInputs[JobKind];
export type JobResult = NonNullable<Job['result']>;
export type JobProgress = Job['progress'];
export type JobFault = NonNullable<Job['error']>;
/** Where the next run goes on; only the work of the kind reads it. */
export type JobPlace = Readonly<Record<string, string | number | boolean>>;

export interface JobRow {
  readonly id: string;
  /** The place in lists. */
  readonly n: number;
  readonly kind: JobKind;
  readonly owner: string;
  readonly state: JobState | 'receiving';
  readonly cancelling: boolean;
  readonly input: JobInput;
  readonly progress: JobProgress;
  readonly place: JobPlace | null;
  readonly result: JobResult | null;
  readonly error: JobFault | null;
  readonly run: number;
  readonly created_at: number;
  readonly updated_at: number;
  readonly started_at: number | null;
  readonly ended_at: number | null;
}

/** The row as the driver gives it: JSON is text. */
export type StoredJobRow = Omit<JobRow, 'input' | 'progress' | 'place' | 'result' | 'error'> & {
  readonly input: string;
  readonly progress: string;
  readonly place: string | null;
  readonly result: string | null;
  readonly error: string | null;
};

const parsed = (text: string | null): unknown => (text === null ? null : JSON.parse(text));

export function jobRow(stored: StoredJobRow): JobRow {
  return {
    ...stored,
    input: parsed(stored.input) as JobInput,
    progress: parsed(stored.progress) as JobProgress,
    place: parsed(stored.place) as JobPlace | null,
    result: parsed(stored.result) as JobResult | null,
    error: parsed(stored.error) as JobFault | null,
  };
}

/** The caller that sends the body sees the job as queued. */
export function jobOf(row: JobRow): Job {
  return {
    id: row.id,
    kind: row.kind,
    state: row.state === 'receiving' ? 'queued' : row.state,
    cancelling: row.cancelling,
    progress: row.progress,
    result: row.result,
    error: row.error,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
  };
}
