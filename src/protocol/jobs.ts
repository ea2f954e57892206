/** Jobs: the work of requests that take longer than a second. A request answers 202 with the job, which goes on by itself. */
import { z } from 'zod';
import { instant } from './model.ts';

export const jobKinds = ['import', 'export', 'user:delete', 'room:purge'] as const;
export type JobKind = (typeof jobKinds)[number];

export const jobStates = ['queued', 'running', 'done', 'failed', 'cancelled'] as const;
export type JobState = (typeof jobStates)[number];

export const jobId = z.uuid().toLowerCase().describe('id of a job');

export const job = z
  .object({
    id: jobId,
    kind: z.enum(jobKinds),
    state: z.enum(jobStates).describe('`done`, `failed` and `cancelled` are final'),
    cancelling: z.boolean().describe('whether the run ends at its next step, because the job was cancelled'),
    progress: z
      .record(z.string(), z.number())
      .describe('how far the job is: `line`, `rooms`, `messages` and `bytes`, as the kind has them'),
    result: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
      .nullable()
      .describe('of a job that is done'),
    error: z
      .object({
        code: z.string().describe('the code of the error: see the table of errors'),
        message: z.string(),
        line: z.int().optional().describe('the line of the file that is at fault'),
      })
      .nullable()
      .describe('of a job that failed, or that the server cancelled'),
    createdAt: instant,
    updatedAt: instant,
    startedAt: instant.nullable(),
    endedAt: instant.nullable(),
  })
  .meta({ id: 'Job' });

export type Job = z.infer<typeof job>;
