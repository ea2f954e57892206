/** Exports over REST: of a room as a stream, and of all rooms as a job. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { expect, it } from 'vitest';
import { exportWork } from '../../../src/api/jobs/export-job.ts';
import { readParts } from '../../../src/api/jobs/job-parts.ts';
import type { JobInputs, JobResult, JobRow } from '../../../src/api/jobs/job-row.ts';
import { JobEnded, type JobRun } from '../../../src/api/jobs/job-run.ts';
import { JobStore } from '../../../src/api/jobs/job-store.ts';
import { exportRooms } from '../../../src/transfer/export.ts';
import { importLines } from '../../../src/transfer/import.ts';
import { stage } from '../../stage.ts';
import { createTestDatabase } from '../../support/database.ts';
import { until } from '../../support/until.ts';
import { makeKey, request } from '../keys-routes.ts';
import { askJob, ended } from './client.ts';
import { fileOf } from './lines.ts';

const config = { PARLEY_MAX_EXPORTS: '1', PARLEY_MAX_EXPORT_BYTES: '16m' };
const { server, sql } = await stage({ config });
const { url } = server;
const admin = (await makeKey(sql, { scopes: ['admin'] })).text;
const rooms = ['exported-a', 'exported-b', 'exported-c', 'exported-d'];
for (const room of rooms) await importLines(sql, lines(fileOf({ room, messages: 2500 })));

async function* lines(text: string): AsyncGenerator<string> {
  yield await Promise.resolve(text);
}

/** The file without the time of the export. */
const undated = (text: string): string => text.replace(/"at":\d+/, '"at":0');

async function printed(room: string | undefined): Promise<string> {
  let text = '';
  await exportRooms(sql, { room, since: undefined }, (part) => {
    text += part;
    return Promise.resolve();
  });
  return undated(text);
}

const status = async (room: string, bearer: string): Promise<number> =>
  (await request(url, 'GET', `/rooms/${room}/export`, { bearer })).status;

const refused = async (): Promise<boolean> => (await status('exported-b', admin)) === 503;

/** A socket that reads the first bytes of an answer, and no more. An export before it may have the only place for a moment. */
function unread(path: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  return until('the export begins', async () => {
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    socket.write(`GET /api/v1${path} HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: Bearer ${admin}\r\n\r\n`);
    const [head] = (await once(socket, 'data')) as [Buffer];
    socket.pause();
    if (head.toString().startsWith('HTTP/1.1 200 ')) return socket;
    socket.destroy();
    return undefined;
  });
}

it('a room is the file of the command line, and an import stores it elsewhere', async () => {
  const file = await request(url, 'GET', '/rooms/exported-a/export', { bearer: admin });
  expect([file.status, file.headers.get('content-type')]).toEqual([200, 'application/x-ndjson']);
  expect(undated(file.text)).toBe(await printed('exported-a'));
  const other = await createTestDatabase();
  expect(await importLines(other.sql, lines(file.text))).toEqual({ rooms: 1, messages: 2500 });
  await other.drop();
});

it('a room needs a key with the scope admin that may use it', async () => {
  const team = (await makeKey(sql, { scopes: ['admin'], rooms: ['exported-b'] })).text;
  const reads = (await makeKey(sql, { scopes: ['messages:read', 'rooms'] })).text;
  expect(await status('exported-b', team)).toBe(200);
  expect([await status('exported-a', team), await status('exported-a', reads)]).toEqual([403, 403]);
  expect(await status('no-such-room', admin)).toBe(404);
});

it('all rooms are a job, whose file stays', async () => {
  const job = await askJob(url, 'POST', '/export', { bearer: admin });
  const done = await ended(url, admin, job.id);
  const href = `/api/v1/jobs/${job.id}/result`;
  expect(done).toMatchObject({ state: 'done', result: { rooms: 4, messages: 10_000, blocks: 0, href } });
  for (let times = 0; times < 2; times++) {
    const file = await request(url, 'GET', `/jobs/${job.id}/result`, { bearer: admin });
    expect(undated(file.text)).toBe(await printed(undefined));
    expect(Buffer.byteLength(file.text)).toBe(done.result?.['bytes']);
  }
  const reads = (await makeKey(sql, { scopes: ['operate'] })).text;
  expect((await request(url, 'GET', `/jobs/${job.id}/result`, { bearer: reads })).status).toBe(403);
  const users = await askJob(url, 'DELETE', '/users/nobody', { bearer: admin });
  const none = await request(url, 'GET', `/jobs/${users.id}/result`, { bearer: admin });
  expect(none.body).toMatchObject({ code: 'not_found' });
});

it('an export that was broken off goes on behind the stored rooms', async () => {
  const store = new JobStore(sql, { maxJobs: 100, maxJobsPerCaller: 100, jobsAtOncePerCaller: 100 });
  // no node takes a job of the kind from here: it is taken in the transaction that adds it
  const { id } = await added();
  const saves: number[] = [];
  const runOf = (row: JobRow, last: number): JobRun<JobInputs['export']> => ({
    ...row,
    input: {},
    signal: new AbortController().signal,
    save: async (tx, progress, place) => {
      await store.save(tx, row, progress, place);
      saves.push(progress['rooms'] ?? 0);
      if (saves.length === last) throw new JobEnded('stopping');
    },
  });
  const work = exportWork({ sql, folder: tmpdir(), maxExportBytes: 10_000_000 });
  const first = await rowOf(id);
  await expect(work(runOf(first, 2))).rejects.toThrow(JobEnded);
  // a part of a run that ended behind its last place
  const [{ parts }] = await sql<[{ parts: number }]>`select max(n) + 1 as parts from job_parts where job = ${id}`;
  await sql`insert into job_parts (job, n, bytes) values (${id}, ${parts}, 'a part without a place')`;
  await sql`update jobs set run = run + 1 where id = ${id}`;
  const result: JobResult = await work(runOf(await rowOf(id), Infinity));
  expect(result).toMatchObject({ rooms: 4, messages: 10_000 });
  expect(saves.slice(0, 3)).toEqual([1, 2, 3]);
  const found: Buffer[] = [];
  for await (const part of readParts(sql, id)) found.push(part);
  const text = Buffer.concat(found).toString();
  const other = await createTestDatabase();
  expect(await importLines(other.sql, lines(text))).toEqual({ rooms: 4, messages: 10_000 });
  await other.drop();
  // the first run stores nothing any more
  await expect(work(runOf(first, Infinity))).rejects.toThrow(JobEnded);
  const after: Buffer[] = [];
  for await (const part of readParts(sql, id)) after.push(part);
  expect(Buffer.concat(after).toString()).toBe(text);
  await sql`delete from jobs where id = ${id}`;

  async function added(): Promise<{ id: string }> {
    const [row] = await sql<[{ id: string }]>`
      insert into jobs (id, kind, owner, state, input, run, node, lease_until)
      values (gen_random_uuid(), 'export', 'k:test', 'running', '{}', 1, 'test', now() + interval '1 hour') returning id`;
    return row;
  }
  async function rowOf(job: string): Promise<JobRow> {
    return (await store.read(job, undefined)) as JobRow;
  }
});

it('a revoked key gets no further part of a file', async () => {
  const { key, text } = await makeKey(sql, { scopes: ['admin'] });
  await importLines(sql, lines(fileOf({ room: 'exported-slowly', messages: 3000, size: 5000 })));
  const response = await fetch(`${url}/api/v1/rooms/exported-slowly/export`, {
    headers: { authorization: `Bearer ${text}` },
  });
  const reader = response.body?.getReader();
  expect((await reader?.read())?.done).toBe(false);
  expect((await request(url, 'DELETE', `/keys/${key.id}`, { bearer: admin })).status).toBe(200);
  const rest = async (): Promise<void> => {
    while ((await reader?.read())?.done === false);
  };
  await expect(rest()).rejects.toThrow('terminated');
});

it('a node sends so many exports as its limit, and a reader that is gone makes place', async () => {
  const socket = await unread('/rooms/exported-slowly/export');
  await until('the place is taken', refused);
  socket.destroy();
  await until('there is a place', async () => !(await refused()));
  expect((await server.metrics()).get('parley_jobs_refused_total{limit="exports"}')).toBeGreaterThan(0);
});

it('an export over its limit ends: the job fails, and the file of a room has no last line', async () => {
  await importLines(sql, lines(fileOf({ room: 'exported-large', messages: 3600, size: 5000 })));
  const job = await askJob(url, 'POST', '/export', { bearer: admin });
  expect(await ended(url, admin, job.id)).toMatchObject({ state: 'failed', error: { code: 'too_large' } });
  expect(await sql`select from job_parts where job = ${job.id}`).toEqual([]);
  const response = await fetch(`${url}/api/v1/rooms/exported-large/export`, {
    headers: { authorization: `Bearer ${admin}` },
  });
  let text = '';
  const read = async (): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const part of response.body ?? []) text += decoder.decode(part, { stream: true });
  };
  await expect(read()).rejects.toThrow('terminated');
  expect(text).not.toContain('"type":"end"');
});
