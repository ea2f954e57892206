/** Jobs outlive their nodes: processes that are killed, suspended and stopped. `npm run build` must have been run. */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import type { Job } from '../../../src/protocol/jobs.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { startServer, type TestServer } from '../../support/server.ts';
import { spawnServer, type SpawnedServer } from '../../support/spawn.ts';
import { testSecret } from '../../support/test-token.ts';
import { until } from '../../support/until.ts';
import { makeKey, request } from '../keys-routes.ts';
import { accepted, ended, jobBy, postImport } from './client.ts';
import { fileOf, idOf } from './lines.ts';

const messages = 40_000;
const prefix = `test-${randomBytes(6).toString('hex')}:`;
let database: TestDatabase;
let doomed: SpawnedServer;
let other: TestServer;
let admin: string;

const shared = (): Record<string, string> => ({
  DATABASE_URL: database.url,
  REDIS_URL: inject('redisUrl'),
  PARLEY_REDIS_PREFIX: prefix,
  PARLEY_DRAIN_MS: '0',
});
const spawned = (): Promise<SpawnedServer> =>
  spawnServer({ ...shared(), PARLEY_JWT_SECRET: testSecret, PARLEY_HOST: '127.0.0.1', PARLEY_NODE: 'doomed' });

beforeAll(async () => {
  database = await createTestDatabase();
  admin = (await makeKey(database.sql, { scopes: ['admin'] })).text;
  other = await startServer({ ...shared(), PARLEY_NODE: 'other', PARLEY_API_TIERS: 'off' }, database);
});
afterAll(async () => {
  await other.stop();
  await database.drop();
});

interface Row {
  readonly node: string;
  readonly state: string;
}

const rowOf = async (id: string): Promise<Row> => {
  const [row] = await database.sql<[Row]>`select node, state from jobs where id = ${id}`;
  return row;
};

/** An import that is in the middle of its run on the doomed node. The other node may have taken it: then it comes again. */
async function inTheMiddle(name: string): Promise<{ readonly room: string; readonly job: Job }> {
  doomed = await spawned();
  for (let n = 1; ; n++) {
    const room = `${name}-${n}`;
    const job = await accepted(await postImport(doomed.url, fileOf({ room, messages }), { bearer: admin }));
    await jobBy(other.url, admin, job.id, ({ progress }) => (progress['line'] ?? 0) > 1000);
    const { node } = await rowOf(job.id);
    if (node.endsWith('/doomed')) return { room, job };
    await request(other.url, 'DELETE', `/jobs/${job.id}`, { bearer: admin });
    await ended(other.url, admin, job.id);
  }
}

/** Every message is there once, under its id, and the job counted each of them once. */
async function requireWhole(room: string, job: Job): Promise<void> {
  expect(await ended(other.url, admin, job.id)).toMatchObject({ state: 'done', result: { rooms: 1, messages } });
  const [row] = await database.sql`
    select last_seq as last, member_count as members, archived_at is not null as archived from rooms where id = ${room}`;
  expect(row).toEqual({ last: messages, members: 1, archived: false });
  const rows = await database.sql<{ seq: number; id: string }[]>`
    select seq, id from messages where room_id = ${room} order by seq`;
  expect(rows).toEqual(Array.from({ length: messages }, (_, n) => ({ seq: n + 1, id: idOf(room, n + 1) })));
  expect(await database.sql`select from imports where room_id = ${room}`).toEqual([]);
  expect(await database.sql`select from job_parts`).toEqual([]);
}

it(
  'another node takes the import of a killed node on: nothing is lost, and nothing is there twice',
  { timeout: 180_000 },
  async () => {
    const { room, job } = await inTheMiddle('killed');
    doomed.kill('SIGKILL');
    await doomed.exit();
    expect(await rowOf(job.id)).toMatchObject({ state: 'running' });
    await requireWhole(room, job);
    expect((await rowOf(job.id)).node).toMatch(/\/other$/);
  },
);

it(
  'a node that was suspended past its lease stores nothing of the run that another node has',
  { timeout: 180_000 },
  async () => {
    const { room, job } = await inTheMiddle('paused');
    doomed.kill('SIGSTOP');
    await until('the other node has the job', async () => (await rowOf(job.id)).node.endsWith('/other'), 60_000);
    doomed.kill('SIGCONT');
    await requireWhole(room, job);
    doomed.kill('SIGTERM');
    expect(await doomed.exit()).toEqual({ code: 0, signal: null });
  },
);

it('a node that stops leaves its run to another node at once', { timeout: 180_000 }, async () => {
  const { room, job } = await inTheMiddle('stopped');
  doomed.kill('SIGTERM');
  expect(await doomed.exit()).toEqual({ code: 0, signal: null });
  const from = performance.now();
  await until('the other node has the job', async () => (await rowOf(job.id)).node.endsWith('/other'));
  // the lease would have kept the job for 15 s
  expect(performance.now() - from).toBeLessThan(10_000);
  await requireWhole(room, job);
});

/**
 * The first half of an import's body, on the doomed node, which has stored a part of it. The connection stays open.
 * @param bodies how many bodies arrive then
 */
async function halfABody(room: string, bodies: number, idempotencyKey?: string): Promise<Socket> {
  const { hostname, port } = new URL(doomed.url);
  const body = fileOf({ room, messages });
  const socket = connect(Number(port), hostname);
  // the death of the node resets the connection
  socket.on('error', () => {});
  const lines = [
    'POST /api/v1/import HTTP/1.1',
    `Host: ${hostname}`,
    `Authorization: Bearer ${admin}`,
    'Content-Type: application/x-ndjson',
    ...(idempotencyKey === undefined ? [] : [`Idempotency-Key: ${idempotencyKey}`]),
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n${body.slice(0, body.length / 2)}`);
  await until('a part is stored', async () => {
    return (await database.sql`select distinct job from job_parts`).length === bodies;
  });
  return socket;
}

it(
  'a node dies in the middle of the body of an import: nothing of it runs, and the caller sends it again elsewhere',
  { timeout: 180_000 },
  async () => {
    doomed = await spawned();
    const headers = { 'idempotency-key': 'body' };
    const sockets = [await halfABody('body', 1, 'body'), await halfABody('without-key', 2)];
    doomed.kill('SIGKILL');
    await doomed.exit();
    for (const socket of sockets) socket.destroy();

    // until the lease has ended, the body might still arrive
    const early = await postImport(other.url, 'x', { bearer: admin, headers });
    expect([early.status, await early.json()]).toEqual([409, expect.objectContaining({ code: 'in_progress' })]);
    await database.sql`update jobs set lease_until = clock_timestamp() where state = 'receiving'`;
    await until('no body is waited for', async () => {
      return (await database.sql`select from jobs where state = 'receiving'`).length === 0;
    });
    expect(await database.sql`select state, error ->> 'code' as code from jobs where idempotency_key = 'body'`).toEqual(
      [{ state: 'failed', code: 'invalid' }],
    );
    expect(await database.sql`select from job_parts`).toEqual([]);
    expect(await database.sql`select from rooms where id in ('body', 'without-key')`).toEqual([]);

    const again = await accepted(
      await postImport(other.url, fileOf({ room: 'body', messages }), { bearer: admin, headers }),
    );
    await requireWhole('body', again);
    expect(await database.sql`select from jobs where idempotency_key = 'body'`).toHaveLength(1);
  },
);
