/** Jobs of a server of several workers: they share the jobs, and outlive the worker that runs them. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { accepted, postImport, readJob } from '../api/jobs/client.ts';
import { fileOf, idOf } from '../api/jobs/lines.ts';
import { makeKey } from '../api/keys-routes.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';
import { alive, endGroup, groupEnv, startGroup, type WorkerGroup } from './group.ts';

const messages = 30_000;
/** Starts of workers and runs of imports, on a busy machine. */
const timeout = 240_000;
let database: TestDatabase;
let admin: string;
let group: WorkerGroup;
const running: WorkerGroup[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  admin = (await makeKey(database.sql, { scopes: ['admin'] })).text;
});
afterEach(async () => {
  for (const one of running.splice(0)) await endGroup(one);
});
afterAll(() => database.drop());

async function start(prefix: string, more: Record<string, string> = {}): Promise<void> {
  group = await startGroup({ ...groupEnv(database, prefix), PARLEY_API_TIERS: 'off', ...more });
  running.push(group);
}

interface Row {
  readonly state: string;
  readonly node: string | null;
  readonly line: number;
}

const rowOf = async (id: string): Promise<Row> => {
  const [row] = await database.sql<[Row]>`
    select state, node, coalesce((progress ->> 'line')::int, 0) as line from jobs where id = ${id}`;
  return row;
};
const doneOf = (id: string): Promise<boolean> =>
  until('the job is done', async () => (await rowOf(id)).state === 'done', timeout);
const imported = async (room: string): Promise<string> =>
  (await accepted(await postImport(group.url, fileOf({ room, messages }), { bearer: admin }))).id;

const statesOf = async (ids: readonly string[]): Promise<unknown> =>
  database.sql`select state, count(*) from jobs where id = any (${ids}::uuid[]) group by state order by state`;

/** The place of a worker in the group, by the name of its node. */
const placeOf = (node: string | null): number => Number(/\/node-(\d)$/.exec(node ?? '')?.[1]) - 1;

/** Every message is there once, under its id. */
async function requireWhole(room: string): Promise<void> {
  const rows = await database.sql<{ seq: number; id: string }[]>`
    select seq, id from messages where room_id = ${room} order by seq`;
  expect(rows).toEqual(Array.from({ length: messages }, (_, n) => ({ seq: n + 1, id: idOf(room, n + 1) })));
}

it('another worker takes the import of a killed worker on', { timeout }, async () => {
  await start('jobs-killed:');
  const id = await imported('killed');
  await until('the job is in the middle', async () => (await rowOf(id)).line > 1000, timeout);
  const { node } = await rowOf(id);
  const pid = group.workers()[placeOf(node)] as number;
  process.kill(pid, 'SIGKILL');
  await until('the worker is gone', () => !alive(pid), timeout);
  expect(await rowOf(id)).toMatchObject({ state: 'running', node });
  await doneOf(id);
  await requireWhole('killed');
  expect(await readJob(group.url, admin, id)).toMatchObject({ state: 'done', result: { rooms: 1, messages } });
  expect(await database.sql`select from job_parts`).toEqual([]);
});

it('a rolling restart in the middle of an import leaves it to another worker', { timeout }, async () => {
  await start('jobs-rolled:', { PARLEY_DRAIN_MS: '0' });
  const id = await imported('rolled');
  await until('the job is in the middle', async () => (await rowOf(id)).line > 1000, timeout);
  const old = group.workers();
  // the import waits for its room until its worker stops
  const before = await database.sql.begin(async (tx) => {
    await tx`select from rooms where id = 'rolled' for update`;
    const [{ node, run }] = await database.sql<
      [{ node: string; run: number }]
    >`select node, run from jobs where id = ${id}`;
    group.kill('SIGHUP');
    const stopping = 'Stopping: the node drains its connections and finishes accepted commands.';
    await until(
      'the worker stops',
      () => group.log(stopping).some((line) => line.node === node.split('/').at(-1)),
      timeout,
    );
    return run;
  });
  await until('the old workers are gone', () => old.every((pid) => !alive(pid)), timeout);
  await doneOf(id);
  await requireWhole('rolled');
  const [after] = await database.sql<[{ run: number }]>`select run from jobs where id = ${id}`;
  expect(after.run).toBeGreaterThan(before);
});

it('one caller has one run at a time over all workers, and /metrics adds the runs up', { timeout }, async () => {
  await start('jobs-shared:');
  const id = 'held';
  await database.sql`select create_room(${id}, 'group', ${id}, 'ann', null, 1000)`;
  const keys = [admin, (await makeKey(database.sql, { scopes: ['admin'] })).text];
  const jobs: string[] = [];
  await database.sql.begin(async (tx) => {
    await tx`select from rooms where id = ${id} for update`;
    // the imports wait for the room
    for (const bearer of [...keys, ...keys]) {
      const job = await accepted(await postImport(group.url, fileOf({ room: id, messages: 10 }), { bearer }));
      jobs.push(job.id);
    }
    const expected = [
      { state: 'queued', count: 2 },
      { state: 'running', count: 2 },
    ];
    await until(
      'one job of each caller runs',
      async () => {
        return JSON.stringify(await statesOf(jobs)) === JSON.stringify(expected);
      },
      timeout,
    );
    await until(
      'the runs are added up',
      async () => {
        return (await group.metrics()).get('parley_jobs_running') === 2;
      },
      timeout,
    );
  });
  await until(
    'all have ended',
    async () => {
      return (await database.sql`select from jobs where id = any (${jobs}::uuid[]) and ended_at is null`).length === 0;
    },
    timeout,
  );
});
