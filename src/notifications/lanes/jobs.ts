/** Jobs as the lanes know them, and as the store has them. */
import type { Job, JobsOptions } from 'bullmq';
import type { Lane } from '../../protocol/lanes.ts';
import type { Payload } from './backend.ts';
import type { LaneJob } from './lanes.ts';

/** BullMQ takes no id of digits alone. */
const idPrefix = 'j-';

export const storedId = (id: string): string => `${idPrefix}${id}`;

/** The backoff decides how often; see `workers.ts`. */
const attempts = 1_000_000;

export interface StoredJob {
  readonly name: string;
  readonly data: Payload;
  readonly opts: JobsOptions;
}

export function storedJob({ id, kind, data, notBefore, expires }: LaneJob, now: number): StoredJob {
  const at = Math.max(now, notBefore ?? now);
  return {
    name: kind,
    data: { data, at, ...(expires === undefined ? {} : { expires }) },
    opts: {
      jobId: storedId(id),
      timestamp: now,
      delay: at - now,
      attempts,
      backoff: { type: 'custom' },
      removeOnComplete: true,
      removeOnFail: true,
      stackTraceLimit: 1,
    },
  };
}

export function jobOf(lane: Lane, job: Job<Payload>): LaneJob {
  const { data, at, expires } = job.data;
  return {
    id: (job.id ?? '').slice(idPrefix.length),
    lane,
    kind: job.name,
    data,
    notBefore: at,
    ...(expires === undefined ? {} : { expires }),
  };
}
