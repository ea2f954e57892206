/** A job whose runs end with their nodes again and again. Five runs without progress are the limit. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { JobStore } from '../../../src/api/jobs/job-store.ts';
import { stage } from '../../stage.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { until } from '../../support/until.ts';
import { makeKey } from '../keys-routes.ts';
import { ended } from './client.ts';

const limits = { maxJobs: 10, maxJobsPerCaller: 10, jobsAtOncePerCaller: 10 };
const unfinished = { code: 'internal', message: 'The job ended 5 times with its node.' };
const { server, sql } = await stage();
const admin = (await makeKey(sql, { scopes: ['admin'] })).text;

let database: TestDatabase;
let store: JobStore;
beforeAll(async () => {
  // no server takes these jobs
  database = await createTestDatabase();
  store = new JobStore(database.sql, limits);
});
afterAll(() => database.drop());

const nodeDies = (): Promise<unknown> =>
  database.sql`update jobs set lease_until = clock_timestamp() - interval '1 ms' where state = 'running'`;

async function added(): Promise<string> {
  const job = { kind: 'export', owner: 'k:one', apiKey: undefined, input: {} } as const;
  return (await store.begin(job, 'queued')).job.id;
}

it('has five runs without progress, and no sixth', async () => {
  const id = await added();
  for (let run = 1; run <= 5; run++) {
    expect(await store.take('node')).toMatchObject({ id, run });
    expect(await store.sweep()).toEqual([]);
    await nodeDies();
  }
  // the lease may end between a sweep and the search for a job
  expect(await store.take('node')).toBeUndefined();
  expect(await store.isDue()).toBe(true);
  expect(await store.sweep()).toEqual([{ id, kind: 'export', state: 'failed' }]);
  expect(await store.read(id, undefined)).toMatchObject({ state: 'failed', error: unfinished });
  expect(await store.isDue()).toBe(false);
});

it('has five more runs after progress', async () => {
  const id = await added();
  for (let run = 1; run <= 4; run++) {
    await store.take('node');
    await nodeDies();
  }
  const fifth = await store.take('node');
  expect(fifth).toMatchObject({ id, run: 5 });
  await store.save(database.sql, { id, run: 5 }, { rooms: 1 }, undefined);
  for (let run = 6; run <= 10; run++) {
    await nodeDies();
    expect(await store.sweep()).toEqual([]);
    expect(await store.take('node')).toMatchObject({ id, run });
  }
  await nodeDies();
  expect(await store.take('node')).toBeUndefined();
  expect(await store.sweep()).toEqual([{ id, kind: 'export', state: 'failed' }]);
});

it('is not run again if its caller cancelled it before its node died', async () => {
  const id = await added();
  await store.take('node');
  await store.cancel(id, undefined);
  await nodeDies();
  expect(await store.take('node')).toBeUndefined();
  expect(await store.sweep()).toEqual([{ id, kind: 'export', state: 'cancelled' }]);
});

/** A job in its run on a node that is dead since then. */
async function ofADeadNode(tries: number): Promise<string> {
  const [job] = await sql<[{ id: string }]>`
    insert into jobs (id, kind, owner, state, input, run, tries, node, lease_until)
    values (gen_random_uuid(), 'export', 'k:dead', 'running', '{}', ${tries}, ${tries}, 'dead', clock_timestamp())
    returning id`;
  return job.id;
}

it('fails on a server after five runs, with its error and its count, and is done in a fifth run', async () => {
  const before = (await server.metrics()).get('parley_jobs_total{kind="export",state="failed"}') ?? 0;
  expect(await ended(server.url, admin, await ofADeadNode(4))).toMatchObject({ state: 'done', error: null });
  expect(await ended(server.url, admin, await ofADeadNode(5))).toMatchObject({ state: 'failed', error: unfinished });
  await until('the failure is counted', async () => {
    return (await server.metrics()).get('parley_jobs_total{kind="export",state="failed"}') === before + 1;
  });
});
