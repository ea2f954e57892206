/** Jobs of REST on one server. */
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { JobStore } from '../../../src/api/jobs/job-store.ts';
import type { Job } from '../../../src/protocol/jobs.ts';
import { stage } from '../../stage.ts';
import { tokenOf } from '../../support/server.ts';
import { until } from '../../support/until.ts';
import { makeKey, request } from '../keys-routes.ts';
import { accepted, askJob, ended, jobBy, postImport, readJob } from './client.ts';
import { fileOf, linesBefore } from './lines.ts';

const limits = { PARLEY_MAX_JOBS: '6', PARLEY_MAX_JOBS_PER_CALLER: '3', PARLEY_MAX_IMPORT_BYTES: '2m' };
const { server, sql, people, room, say } = await stage({ people: ['owner', 'ann', 'ben'], config: limits });
const { url } = server;
const admin = (await makeKey(sql, { scopes: ['admin'] })).text;
const stored = async (id: string): Promise<number> =>
  (await sql<[{ count: number }]>`select count(*) from messages where room_id = ${id}`)[0].count;

const code = async (response: Response): Promise<unknown[]> => [
  response.status,
  ((await response.json()) as { code: string }).code,
];

/** Holds the work of jobs in a transaction of the test: an import waits for the lock of its room. */
async function holding<T>(held: string, work: () => Promise<T>): Promise<T> {
  return sql.begin(async (tx) => {
    await tx`select from rooms where id = ${held} for update`;
    return work();
  }) as Promise<T>;
}

/** An import that waits in its run for the lock of `held`. */
async function running(bearer: string, held: string): Promise<Job> {
  const job = await accepted(await postImport(url, fileOf({ room: held, messages: 10 }), { bearer }));
  return jobBy(url, bearer, job.id, ({ state }) => state === 'running');
}

it('an import answers 202, and its job reports the line, the rooms and the messages', async () => {
  const file = fileOf({ room: 'imported', messages: 1200 });
  const job = await accepted(await postImport(url, file, { bearer: admin }));
  expect(job).toMatchObject({ kind: 'import', progress: { bytes: Buffer.byteLength(file) } });
  const done = await ended(url, admin, job.id);
  expect(done).toMatchObject({ state: 'done', result: { rooms: 1, messages: 1200 }, error: null });
  expect(done.progress).toEqual({ bytes: Buffer.byteLength(file), line: 1205, rooms: 1, messages: 1200 });
  expect(await stored('imported')).toBe(1200);
  expect(await sql`select from job_parts where job = ${job.id}`).toEqual([]);

  const again = await accepted(await postImport(url, file, { bearer: admin }));
  expect(await ended(url, admin, again.id)).toMatchObject({ state: 'done', result: { rooms: 1, messages: 0 } });
  expect(await stored('imported')).toBe(1200);
});

it('a line that is wrong fails the import with its number, and another one goes on behind the stored lines', async () => {
  const wrong = { line: linesBefore + 700, text: 'no JSON' };
  const options = { bearer: admin, headers: { 'idempotency-key': 'wrong-line' } };
  const first = await accepted(await postImport(url, fileOf({ room: 'mended', messages: 900, wrong }), options));
  const failed = await ended(url, admin, first.id);
  expect(failed).toMatchObject({ state: 'failed', result: null, error: { code: 'invalid', line: wrong.line } });
  expect(failed.progress['line']).toBe(linesBefore + 499);
  expect(await stored('mended')).toBe(499);

  // the same key is the same job, which goes on
  const second = await accepted(await postImport(url, fileOf({ room: 'mended', messages: 900 }), options));
  expect(second.id).toBe(first.id);
  expect(await ended(url, admin, second.id)).toMatchObject({ state: 'done', result: { rooms: 1, messages: 900 } });
  const third = await postImport(url, 'anything', options);
  expect(third.headers.get('idempotency-replay')).toBe('true');
  expect(await accepted(third)).toMatchObject({ id: first.id, state: 'done' });

  const cut = { ...wrong, line: linesBefore + 600 };
  const begun = await accepted(
    await postImport(url, fileOf({ room: 'from', messages: 900, wrong: cut }), { bearer: admin }),
  );
  const line = (await ended(url, admin, begun.id)).progress['line'] ?? 0;
  const rest = { bearer: admin, query: `?from=${line + 1}` };
  const other = await accepted(await postImport(url, fileOf({ room: 'from', messages: 900 }), rest));
  expect(await ended(url, admin, other.id)).toMatchObject({ state: 'done', result: { rooms: 1, messages: 401 } });
  expect(await stored('from')).toBe(900);
  const beyond = await postImport(url, fileOf({ room: 'from', messages: 900 }), { bearer: admin, query: '?from=5000' });
  expect(await ended(url, admin, (await accepted(beyond)).id)).toMatchObject({ state: 'failed', error: { line: 906 } });
});

it('lines that an import skips must not be missing here', async () => {
  const job = await accepted(
    await postImport(url, fileOf({ room: 'skipped', messages: 20 }), { bearer: admin, query: '?from=10' }),
  );
  const { state, error } = await ended(url, admin, job.id);
  expect([state, error?.message]).toEqual(['failed', expect.stringContaining('room skipped has gaps')]);
});

it('a job is cancelled in its run, at once while it waits, and not after its end', async () => {
  const id = await room();
  const first = await holding(id, async () => {
    const job = await running(admin, id);
    const waiting = await accepted(await postImport(url, fileOf({ room: 'queued', messages: 3 }), { bearer: admin }));
    expect(waiting.state).toBe('queued');
    const cancelled = await request(url, 'DELETE', `/jobs/${waiting.id}`, { bearer: admin });
    expect(cancelled.body).toMatchObject({ state: 'cancelled', cancelling: false });
    const ending = await request(url, 'DELETE', `/jobs/${job.id}`, { bearer: admin });
    expect(ending.body).toMatchObject({ state: 'running', cancelling: true });
    return job;
  });
  expect(await ended(url, admin, first.id)).toMatchObject({ state: 'cancelled', error: null });
  expect(await stored('queued')).toBe(0);
  const after = await request(url, 'DELETE', `/jobs/${first.id}`, { bearer: admin });
  expect(after).toMatchObject({ status: 200, body: { state: 'cancelled' } });
  expect(await sql`select from job_parts where job = ${first.id}`).toEqual([]);
});

it('callers have so many jobs as their limit, and all of them as the limit of the server', async () => {
  const id = await room();
  const other = (await makeKey(sql, { scopes: ['admin'] })).text;
  const third = (await makeKey(sql, { scopes: ['admin'] })).text;
  const made: Job[] = [];
  await holding(id, async () => {
    for (const bearer of [admin, other]) {
      made.push(await running(bearer, id));
      for (const n of [1, 2])
        made.push(await accepted(await postImport(url, fileOf({ room: `l-${n}`, messages: 1 }), { bearer })));
    }
    const over = await postImport(url, fileOf({ room: 'over', messages: 1 }), { bearer: admin });
    expect([over.status, await over.json()]).toEqual([409, expect.objectContaining({ code: 'limit_reached' })]);
    const full = await postImport(url, fileOf({ room: 'over', messages: 1 }), { bearer: third });
    expect([full.status, await full.json()]).toEqual([503, expect.objectContaining({ code: 'overloaded' })]);
    expect(full.headers.get('retry-after')).toBe('5');
    // one of each caller runs, and two on this node
    const states = await sql`select state, count(*) from jobs where ended_at is null group by state order by state`;
    expect(states).toEqual([
      { state: 'queued', count: 4 },
      { state: 'running', count: 2 },
    ]);
    for (const { id: job } of made) await request(url, 'DELETE', `/jobs/${job}`, { bearer: admin });
  });
  for (const { id: job } of made) expect((await ended(url, admin, job)).state).toBe('cancelled');
  const metrics = await server.metrics();
  expect(metrics.get('parley_jobs_refused_total{limit="caller"}')).toBe(1);
  expect(metrics.get('parley_jobs_refused_total{limit="all"}')).toBe(1);
  await until('no job runs', async () => (await server.metrics()).get('parley_jobs_running') === 0);
});

it('a body that is cut off leaves nothing, and may come again under its Idempotency-Key', async () => {
  const { hostname, port } = new URL(url);
  const head = (key: string): string =>
    `POST /api/v1/import HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: Bearer ${admin}\r\n` +
    `Content-Type: application/x-ndjson\r\n${key}Content-Length: 1000000\r\n\r\n`;
  const cut = async (key: string): Promise<void> => {
    const socket = connect(Number(port), hostname);
    socket.write(head(key) + fileOf({ room: 'cut', messages: 4000 }).slice(0, 400_000));
    await until('a part is stored', async () => (await sql`select from job_parts limit 1`).length === 1);
    if (key !== '') {
      const again = await postImport(url, 'x', { bearer: admin, headers: { 'idempotency-key': 'cut-off' } });
      expect([again.status, await again.json()]).toEqual([409, expect.objectContaining({ code: 'in_progress' })]);
    }
    socket.destroy();
    await until('the parts are gone', async () => (await sql`select from job_parts limit 1`).length === 0);
  };
  const before = await sql`select id from jobs`;
  await cut('');
  expect(await sql`select id from jobs`).toHaveLength(before.length);
  await cut('Idempotency-Key: cut-off\r\n');
  const [job] = await sql<
    { id: string; state: string }[]
  >`select id, state from jobs where idempotency_key = 'cut-off'`;
  expect(job?.state).toBe('failed');
  const options = { bearer: admin, headers: { 'idempotency-key': 'cut-off' } };
  const whole = await accepted(await postImport(url, fileOf({ room: 'cut', messages: 40 }), options));
  expect(whole.id).toBe(job?.id);
  expect(await ended(url, admin, whole.id)).toMatchObject({ state: 'done', result: { messages: 40 } });
});

it('bodies are refused that are compressed, empty, too large, of another type, or from another caller', async () => {
  const file = fileOf({ room: 'refused', messages: 1 });
  const gzip = { bearer: admin, headers: { 'content-encoding': 'gzip' } };
  expect(await code(await postImport(url, gzipSync(file), gzip))).toEqual([415, 'unsupported_type']);
  expect(await code(await postImport(url, '', { bearer: admin }))).toEqual([400, 'invalid']);
  const json = { bearer: admin, headers: { 'content-type': 'application/json' } };
  expect(await code(await postImport(url, file, json))).toEqual([415, 'unsupported_type']);

  const full = fileOf({ room: 'full', messages: 1 });
  const exact = `${full}${' '.repeat(2 * 1024 * 1024 - Buffer.byteLength(full))}`;
  await ended(url, admin, (await accepted(await postImport(url, exact, { bearer: admin }))).id);
  expect(await code(await postImport(url, `${exact} `, { bearer: admin }))).toEqual([413, 'too_large']);
  const chunked = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let n = 0; n < 33; n++) controller.enqueue(new Uint8Array(64 * 1024).fill(0x20));
      controller.close();
    },
  });
  expect(await code(await postImport(url, chunked, { bearer: admin }))).toEqual([413, 'too_large']);
  await until('no part is left', async () => (await sql`select from job_parts limit 1`).length === 0);

  const rooms = (await makeKey(sql, { scopes: ['rooms', 'users'] })).text;
  const team = (await makeKey(sql, { scopes: ['admin'], rooms: ['team-*'] })).text;
  for (const bearer of [rooms, team, await tokenOf('owner')])
    expect(await code(await postImport(url, file, { bearer }))).toEqual([403, 'forbidden']);
  expect(await stored('refused')).toBe(0);
});

it('a caller sees its own jobs, the scope operate all of them, and the scope admin cancels all of them', async () => {
  const mine = (await makeKey(sql, { scopes: ['admin'], rooms: ['team-*'] })).text;
  const operate = (await makeKey(sql, { scopes: ['operate'] })).text;
  const users = (await makeKey(sql, { scopes: ['users'] })).text;
  const job = await askJob(url, 'DELETE', '/users/nobody', { bearer: users });
  await ended(url, users, job.id);
  const list = async (bearer: string): Promise<number> =>
    ((await request(url, 'GET', '/jobs?limit=100', { bearer })).body['items'] as Job[]).length;
  const [{ count: all }] = await sql<[{ count: number }]>`select count(*) from jobs`;
  expect([await list(users), await list(mine), await list(await tokenOf('ann'))]).toEqual([1, 0, 0]);
  expect([await list(operate), await list(admin)]).toEqual([all, all]);
  for (const [method, bearer] of [
    ['GET', mine],
    ['GET', await tokenOf('ann')],
    ['DELETE', operate],
    ['DELETE', mine],
  ] as const)
    expect((await request(url, method, `/jobs/${job.id}`, { bearer })).status).toBe(404);
  expect((await request(url, 'DELETE', `/jobs/${job.id}`, { bearer: admin })).status).toBe(200);
  expect((await request(url, 'GET', `/jobs/${job.id}`)).status).toBe(401);

  const pages: string[] = [];
  for (let path: string | null = '/jobs?limit=3&fields=id'; path !== null;) {
    const { body } = await request(url, 'GET', path, { bearer: admin });
    pages.push(...(body['items'] as { id: string }[]).map(({ id }) => id));
    path = body['next'] === null ? null : `/jobs?limit=3&fields=id&cursor=${body['next'] as string}`;
  }
  expect(pages).toEqual((await sql<{ id: string }[]>`select id from jobs order by n desc`).map(({ id }) => id));
});

it('the queued jobs of a revoked key are cancelled, and its running job goes on', async () => {
  const { key, text } = await makeKey(sql, { scopes: ['admin'] });
  const id = await room();
  const [first, second] = await holding(id, async () => {
    const jobs = [
      await running(text, id),
      await accepted(await postImport(url, fileOf({ room: 'never', messages: 1 }), { bearer: text })),
    ];
    expect((await request(url, 'DELETE', `/keys/${key.id}`, { bearer: admin })).status).toBe(200);
    const cancelled = await ended(url, admin, jobs[1]?.id ?? '');
    expect(cancelled).toMatchObject({ state: 'cancelled', error: { code: 'unauthorized' } });
    return jobs;
  });
  expect((await ended(url, admin, first?.id ?? '')).error?.code).not.toBe('unauthorized');
  expect(second?.state).toBe('queued');
  expect(await stored('never')).toBe(0);
});

it('a user is deleted: rooms, tokens, name and bodies, in the rooms of others too', async () => {
  const id = await room();
  for (const n of [1, 2, 3]) await say('ben', id, `ben ${n}`);
  await say('owner', id, 'owner');
  const users = (await makeKey(sql, { scopes: ['users'] })).text;
  const token = await tokenOf('ben');
  const me = async (): Promise<number> => (await request(url, 'GET', '/me', { bearer: token })).status;
  expect(await me()).toBe(200);
  const job = await askJob(url, 'DELETE', '/users/ben', { bearer: users });
  expect(await people.ben.event('session:revoked')).toBeDefined();
  const { state, result } = await ended(url, users, job.id);
  expect([state, result]).toEqual(['done', expect.objectContaining({ known: true, messages: 3 })]);
  const rows = await sql`select sender_id, body is null as gone from messages where room_id = ${id} order by seq`;
  const gone = { sender_id: result?.['pseudonym'], gone: true };
  expect(rows).toEqual([gone, gone, gone, { sender_id: 'owner', gone: false }]);
  await until('the token is refused', async () => (await me()) === 401);
  expect((await request(url, 'GET', '/users/ben', { bearer: users })).status).toBe(404);
  for (const bearer of [await tokenOf('ann'), (await makeKey(sql, { scopes: ['users'], rooms: ['team-*'] })).text])
    expect((await request(url, 'DELETE', '/users/ann', { bearer })).status).toBe(403);
});

it('a user is deleted whose messages stay', async () => {
  const id = await room();
  await say('ann', id, 'kept');
  const users = (await makeKey(sql, { scopes: ['users'] })).text;
  const job = await askJob(url, 'DELETE', '/users/ann?messages=keep', { bearer: users });
  const { result } = await ended(url, users, job.id);
  const rows = await sql`select sender_id, body ->> 'text' as text from messages where room_id = ${id}`;
  expect(rows).toEqual([{ sender_id: result?.['pseudonym'], text: 'kept' }]);
});

it('the owner purges a room: readers get the rest, members stay, and numbers go on', async () => {
  const id = await room();
  for (let n = 1; n <= 5; n++) await say('owner', id, `text ${n}`);
  const token = await tokenOf('owner');
  const job = await askJob(url, 'POST', `/rooms/${id}/purge`, { bearer: token, body: { before: 4 } });
  expect(await ended(url, token, job.id)).toMatchObject({ state: 'done', result: { messages: 3, first: 4 } });
  expect(await people.owner.event('room:purged')).toMatchObject({ room: id, first: 4 });
  const read = await request(url, 'GET', `/rooms/${id}/messages?fields=seq`, { bearer: token });
  expect(read.body['items']).toEqual([{ seq: 4 }, { seq: 5 }]);
  const key = (await makeKey(sql, { scopes: ['rooms'], rooms: [id] })).text;
  const rest = await askJob(url, 'POST', `/rooms/${id}/purge`, { bearer: key, body: {} });
  expect(await ended(url, key, rest.id)).toMatchObject({ state: 'done', result: { messages: 2, first: 6 } });
  expect(await say('owner', id, 'next')).toBe(6);
  const stranger = await request(url, 'POST', `/rooms/${id}/purge`, { bearer: await tokenOf('zoe'), body: {} });
  expect(stranger.body).toMatchObject({ code: 'not_found' });
});

it('jobs that ended a day ago are removed', async () => {
  const job = await askJob(url, 'DELETE', '/users/nobody', { bearer: admin });
  await ended(url, admin, job.id);

  const jobs = new JobStore(sql, { maxJobs: 1, maxJobsPerCaller: 1, jobsAtOncePerCaller: 1 });
  await sql`update jobs set ended_at = now() - interval '23 hours' where id = ${job.id}`;
  await jobs.prune();
  expect((await readJob(url, admin, job.id)).state).toBe('done');
  await sql`update jobs set ended_at = now() - interval '25 hours' where id = ${job.id}`;
  await jobs.prune();
  expect((await request(url, 'GET', `/jobs/${job.id}`, { bearer: admin })).status).toBe(404);
});

it('a repeated request gets the job of the first one again, with its address and its chosen fields', async () => {
  const headers = { 'idempotency-key': 'twice' };
  const ask = (path: string): Promise<Response> =>
    fetch(`${url}/api/v1${path}`, { method: 'POST', headers: { ...headers, authorization: `Bearer ${admin}` } });
  const [first, again] = [await ask('/export'), await ask('/export')];
  expect(again.headers.get('idempotency-replay')).toBe('true');
  const job = await accepted(first);
  expect(await accepted(again)).toEqual(job);
  await ended(url, admin, job.id);
  headers['idempotency-key'] = 'twice-in-part';
  const parts = [await ask('/export?fields=kind'), await ask('/export?fields=kind')];
  const [made, found] = parts.map((part) => part.headers.get('location'));
  expect([made, await Promise.all(parts.map((part) => part.json()))]).toEqual([
    found,
    [{ kind: 'export' }, { kind: 'export' }],
  ]);
  expect(found).toMatch(/^\/api\/v1\/jobs\/[0-9a-f-]{36}$/);
});
