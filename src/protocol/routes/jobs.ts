/** Jobs over REST, and the routes whose work is a job. */
import { z } from 'zod';
import { job, jobId, jobKinds, jobStates } from '../jobs.ts';
import { roomId, seq, userId } from '../model.ts';
import type { RouteDeclarations } from '../route-schema.ts';

const linesType = 'application/x-ndjson';
const answerHeaders = ['Location', 'Retry-After'] as const;
const place = z.int().min(1).optional();

export const jobRoutes = {
  'job:list': {
    about:
      'Your jobs, the newest first: those of the API key or of the user. A key with the scope `operate` sees the jobs of ' +
      'all callers. A job that has ended stays for a day.',
    kind: 'read',
    weight: 1,
    scope: null,
    callers: 'caller',
    http: { method: 'GET', path: '/jobs', pages: { items: 'jobs', next: [{ from: 'next', to: 'before' }] } },
    input: z.object({
      state: z.enum(jobStates).optional(),
      kind: z.enum(jobKinds).optional(),
      before: place.describe('the place of the last job of the page before'),
      limit: z.int().min(1).max(100).default(20),
    }),
    output: z.object({ jobs: z.array(job), next: z.int().nullable(), more: z.boolean() }),
    errors: [],
  },
  'job:get': {
    about: 'A job: its state, its progress, and its result or its error.',
    kind: 'read',
    weight: 1,
    scope: null,
    callers: 'caller',
    http: { method: 'GET', path: '/jobs/{id}' },
    input: z.object({ id: jobId }),
    output: job,
    errors: ['not_found'],
  },
  'job:cancel': {
    about:
      'Cancels a job. A queued job is cancelled at once. A run ends at its next step, within a second or two, and ' +
      '`cancelling` is true until then. The effect of the steps before stays. A job that has ended stays as it is. A key ' +
      'with the scope `admin` cancels the jobs of all callers.',
    kind: 'write',
    weight: 1,
    scope: null,
    callers: 'caller',
    http: { method: 'DELETE', path: '/jobs/{id}' },
    input: z.object({ id: jobId }),
    output: job,
    errors: ['not_found'],
  },
  import: {
    about:
      'Stores the lines of an export as a job. The body is what `parley export` and `GET /rooms/{room}/export` print. The ' +
      'job reports the line up to which all is stored. The error of a failed job has the line that is at fault. Stored rows ' +
      'are skipped, so the same file may come again. `from`: the lines before are checked, and not stored. The same ' +
      '`Idempotency-Key` finds the job of the earlier request; an import that failed goes on behind its last stored line.',
    kind: 'write',
    weight: 10,
    scope: 'admin',
    callers: 'key',
    http: { method: 'POST', path: '/import', status: 202, sensitive: true, answerHeaders },
    consumes: linesType,
    needsBody: true,
    input: z.object({ from: z.int().min(1).default(1).describe('the first line that is stored, from 1') }),
    output: job,
    errors: ['too_large', 'limit_reached', 'unsupported_type', 'in_progress', 'idempotency_mismatch'],
  },
  export: {
    about:
      'Exports all rooms as a job, as `parley export --all` does. `result.href` of the job is the address of the file. The ' +
      'file stays for a day.',
    kind: 'write',
    weight: 10,
    scope: 'admin',
    callers: 'key',
    http: { method: 'POST', path: '/export', status: 202, sensitive: true, answerHeaders },
    input: z.object({}),
    output: job,
    errors: ['limit_reached'],
  },
  'job:result': {
    about: 'The file of an export that is done: lines of JSON, whose last line has the type `end`.',
    kind: 'read',
    weight: 10,
    scope: 'admin',
    callers: 'key',
    http: { method: 'GET', path: '/jobs/{id}/result' },
    produces: linesType,
    input: z.object({ id: jobId }),
    output: z.string(),
    errors: ['not_found', 'conflict'],
  },
  'room:export': {
    about:
      'A room with its messages, its members and its other records, as `parley export --room` prints it: lines of JSON, ' +
      'whose last line has the type `end`. A file without that line was cut off.',
    kind: 'read',
    weight: 10,
    scope: 'admin',
    callers: 'key',
    http: { method: 'GET', path: '/rooms/{room}/export' },
    produces: linesType,
    input: z.object({ room: roomId }),
    output: z.string(),
    errors: ['not_found'],
  },
  'user:delete': {
    about:
      'Deletes the data of a user as a job, as `parley users forget` does. The tokens of the user are revoked, and the user ' +
      'leaves all rooms. `messages=erase` deletes the bodies of the messages, which keep their numbers. `messages=keep` ' +
      'keeps them. A pseudonym takes the place of the user, and the result of the job has it. Do not issue tokens for the ' +
      'user any more.',
    kind: 'write',
    weight: 10,
    scope: 'users',
    callers: 'key',
    http: { method: 'DELETE', path: '/users/{user}', status: 202, sensitive: true, answerHeaders },
    input: z.object({ user: userId, messages: z.enum(['erase', 'keep']).default('erase') }),
    output: job,
    errors: ['limit_reached'],
  },
  'room:purge': {
    about:
      'Deletes the messages of a room before a seq, or all messages, as a job. Numbers are not assigned again, and members ' +
      'stay. The messages are gone for readers when the job begins. Only the owner of the room may do so. The room gets ' +
      '`room:purged`.',
    kind: 'write',
    weight: 10,
    scope: 'rooms',
    callers: 'caller',
    http: { method: 'POST', path: '/rooms/{room}/purge', status: 202, asOwner: true, sensitive: true, answerHeaders },
    input: z.object({ room: roomId, before: seq.optional().describe('the first seq that stays; absent: no message') }),
    output: job,
    errors: ['not_found', 'not_member', 'limit_reached'],
  },
} as const satisfies RouteDeclarations;
