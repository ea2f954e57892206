/** The routes of jobs, and those whose work is a job. */
import { ParleyError } from '../../protocol/errors.ts';
import type { Job } from '../../protocol/jobs.ts';
import type { Messaging } from '../../messaging.ts';
import { jobRoutes } from '../../protocol/routes/jobs.ts';
import type { Scope } from '../../protocol/scopes.ts';
import { jobHeaders } from '../answering.ts';
import { idempotencyKey } from '../idempotency.ts';
import { callerOf, requireRooms, type ActingParts, type Identity } from '../identity.ts';
import type { JobOwner } from '../jobs/job-store.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { Reply, type RouteHandlers } from '../operation.ts';
import type { Exports } from '../streams/exports.ts';

export interface JobParts extends ActingParts {
  readonly jobs: Jobs;
  readonly exports: Exports;
  readonly messaging: Pick<Messaging, 'requirePurge'>;
}

const lines = { 'Content-Type': jobRoutes.import.consumes, 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' };

export function jobHandlers(parts: JobParts): RouteHandlers<typeof jobRoutes> {
  const { jobs, exports, messaging } = parts;
  return {
    'job:list': ({ identity, input }) => jobs.list({ ...input, owner: visibleTo(identity, 'operate') }),
    'job:get': ({ identity, input: { id } }) => jobs.read(id, visibleTo(identity, 'operate')),
    'job:cancel': ({ identity, input: { id } }) => jobs.cancel(id, visibleTo(identity, 'admin')),
    import: async ({ identity, input, header, body }) => {
      // the file has rooms of any id
      requireRooms(identity, 'admin', []);
      if (body === null) throw new ParleyError('invalid', 'The request has no body.');
      const wanted = { kind: 'import', input, idempotencyKey: idempotencyKey(header('idempotency-key')) } as const;
      const { job, isRepeated } = await jobs.receive({ ...ownerOf(identity), ...wanted }, body);
      return accepted(job, isRepeated);
    },
    export: async ({ identity }) => {
      requireRooms(identity, 'admin', []);
      return accepted(await jobs.add({ ...ownerOf(identity), kind: 'export', input: {} }));
    },
    'job:result': async ({ identity, input: { id } }) => {
      requireRooms(identity, 'admin', []);
      const job = await jobs.read(id, undefined);
      if (job.kind !== 'export') throw new ParleyError('not_found', 'The job has no file.');
      if (job.state !== 'done') throw new ParleyError('conflict', `The export is not done; its state is ${job.state}.`);
      return new Reply(await exports.result(identity, id), { headers: lines });
    },
    'room:export': async ({ identity, input: { room } }) => {
      requireRooms(identity, 'admin', [room]);
      return new Reply(await exports.room(identity, room), { headers: lines });
    },
    'user:delete': async ({ identity, input: { user, messages } }) => {
      // the messages are in rooms of any id
      requireRooms(identity, 'users', []);
      const input = { user, keepMessages: messages === 'keep' };
      return accepted(await jobs.add({ ...ownerOf(identity), kind: 'user:delete', input }));
    },
    'room:purge': async ({ identity, input: { room, before } }) => {
      const { scope, http } = jobRoutes['room:purge'];
      requireRooms(identity, scope, [room]);
      const { user } = await callerOf(identity, http, [room], parts);
      const next = await messaging.requirePurge(user.id, room);
      const input = { room, before: Math.min(before ?? next, next) };
      return accepted(await jobs.add({ ...ownerOf(identity), kind: 'room:purge', input }));
    },
  };
}

export function accepted(job: Job, isRepeated = false): Reply {
  const replay = isRepeated ? { 'Idempotency-Replay': 'true' } : {};
  return new Reply(job, { headers: { ...jobHeaders(job.id), ...replay } });
}

/** @throws {ParleyError} `unauthorized` */
export function ownerOf(identity: Identity): JobOwner {
  if (identity.kind === 'key') return { owner: `k:${identity.key.id}`, apiKey: identity.key.id };
  if (identity.kind === 'user') return { owner: `u:${identity.caller.user.id}`, apiKey: undefined };
  throw new ParleyError('unauthorized', 'A token or an API key is needed.');
}

/** @param every the scope of keys that see the jobs of all callers @returns undefined: all jobs */
function visibleTo(identity: Identity, every: Scope): string | undefined {
  const { key } = identity.kind === 'key' ? identity : {};
  return key?.scopes.has(every) === true && key.everyRoom ? undefined : ownerOf(identity).owner;
}
