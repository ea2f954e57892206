/**
 * The locks of jobs and of uploads, crossed as those of messages in lock-order.test.ts. Two bodies that were cut off after
 * their leases had ended swept each other's job, and Postgres ended one of the two with 40P01. A refused message that
 * gave its files back met another attempt to send it in the same way. One took the files in the order of the disk, and the
 * other in that of their ids.
 */
import { randomUUID } from 'node:crypto';
import type postgres from 'postgres';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { JobStore, type JobLimits } from '../../src/api/jobs/job-store.ts';
import type { JobRow } from '../../src/api/jobs/job-row.ts';
import { forgetUser } from '../../src/retention/forget-user.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { UploadRows } from '../../src/uploads/rows.ts';
import { UploadSweep } from '../../src/uploads/sweep.ts';
import { crossed, type Crossing } from '../support/crossing.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/messaging.ts';

let database: TestDatabase;
let sql: postgres.Sql;
let store: JobStore;
beforeAll(async () => {
  database = await createTestDatabase({ poolSize: 10 });
  ({ sql } = database);
  store = new JobStore(sql, many);
});
afterAll(() => database.drop());

const many: JobLimits = { maxJobs: 100, maxJobsPerCaller: 100, jobsAtOncePerCaller: 100 };
const crossing = (...[held, first, second]: Crossing): Promise<void> => crossed(sql, held, first, second);
const lockedQueue = (tx: postgres.TransactionSql): Promise<unknown> => tx`select from job_queue for update`;

async function begun(owner: string, state: 'receiving' | 'queued', idempotencyKey?: string): Promise<JobRow> {
  const input = { from: 1 };
  return (await store.begin({ kind: 'import', owner, apiKey: undefined, input, idempotencyKey }, state)).job;
}

async function bodies(owner: string, count: number): Promise<readonly JobRow[]> {
  const jobs: JobRow[] = [];
  for (let n = 0; n < count; n++) {
    const job = await begun(owner, 'receiving', `${owner} ${n}`);
    await store.addPart(job, 0, Buffer.from('part'));
    jobs.push(job);
  }
  await sql`update jobs set lease_until = clock_timestamp() where owner = ${owner}`;
  return jobs;
}

const statesOf = async (owner: string): Promise<string[]> =>
  (await sql<{ state: string }[]>`select state from jobs where owner = ${owner} order by n`).map(({ state }) => state);

it('two bodies are cut off after their leases have ended', async () => {
  const [first, between, last] = (await bodies('cut', 3)) as [JobRow, JobRow, JobRow];
  await crossing(
    (tx) => tx`select from jobs where id = ${between.id} for update`,
    () => store.cutOff(first),
    () => store.cutOff(last),
  );
  expect(await statesOf('cut')).toEqual(['failed', 'failed', 'failed']);
  expect(await sql`select from job_parts`).toEqual([]);
});

it('a body is cut off beside the sweep of another node', async () => {
  const [, between, last] = (await bodies('swept', 3)) as [JobRow, JobRow, JobRow];
  await crossing(
    (tx) => tx`select from jobs where id = ${between.id} for update`,
    () => store.sweep(),
    () => store.cutOff(last),
  );
  expect(await statesOf('swept')).toEqual(['failed', 'failed', 'failed']);
});

it('a request adds a job beside a node that takes one: each counts the job of the other', async () => {
  const one = new JobStore(sql, { maxJobs: 100, maxJobsPerCaller: 2, jobsAtOncePerCaller: 1 });
  const job = { kind: 'import', owner: 'counted', apiKey: undefined, input: { from: 1 } } as const;
  await one.begin(job, 'queued');
  const refused: unknown[] = [];
  const add = (): Promise<unknown> => one.begin(job, 'queued').catch((error: unknown) => refused.push(error));
  await crossing(lockedQueue, add, add);
  expect(refused).toMatchObject([{ code: 'limit_reached' }]);
  const taken: (string | undefined)[] = [];
  const take = async (): Promise<unknown> => taken.push((await one.take('node'))?.state);
  await crossing(lockedQueue, take, take);
  expect(taken.toSorted()).toEqual(['running', undefined]);
  expect(await statesOf('counted')).toEqual(['running', 'queued']);
  await sql`update jobs set state = 'done', ended_at = clock_timestamp() where owner = 'counted'`;
});

it('a request repeats its Idempotency-Key beside the transaction of the work of that job', async () => {
  await begun('repeated', 'queued', 'same');
  const row = (await store.take('node')) as JobRow;
  let again: JobRow | undefined;
  await crossing(
    (tx) => tx`select from jobs where id = ${row.id} for update`,
    async () => (again = await begun('repeated', 'queued', 'same')),
    () => sql.begin((tx) => store.save(tx, row, { line: 7 }, undefined)),
  );
  expect([again?.id, again?.state]).toEqual([row.id, 'running']);
  expect(await store.read(row.id, undefined)).toMatchObject({ progress: { line: 7 } });
  await store.finish(row, { state: 'cancelled', error: null }, false);
});

it('a caller cancels a job beside its end and the leases of its node', async () => {
  const ids = await Promise.all([begun('ends', 'queued'), begun('ends', 'queued')]);
  const rows = [await store.take('node'), await store.take('node')] as [JobRow, JobRow];
  expect(new Set(rows.map(({ id }) => id))).toEqual(new Set(ids.map(({ id }) => id)));
  await crossing(
    (tx) => tx`select from jobs where id = ${rows[1].id} for update`,
    () => store.extend(rows),
    async () => {
      await store.cancel(rows[1].id, 'ends');
      await store.finish(rows[0], { state: 'cancelled', error: null }, false);
      await store.finish(rows[1], { state: 'cancelled', error: null }, false);
    },
  );
  expect(await statesOf('ends')).toEqual(['cancelled', 'cancelled']);
});

const uploads = (): UploadRows => new UploadRows(sql, sql);

/** Complete uploads of two days ago, from the last id to the first, so that the disk has another order than the ids. */
async function files(owner: string): Promise<readonly [string, string, string]> {
  const ids = [1, 2, 3].map((n) => `0000000${n}-${randomUUID().slice(9)}`) as [string, string, string];
  for (const id of ids.toReversed()) {
    await sql`
      insert into uploads (id, owner_id, name, type, bytes, state, created_at)
      values (${id}, ${owner}, 'a.pdf', 'application/pdf', 10, 'complete', clock_timestamp() - interval '2 days')`;
  }
  return ids;
}

it('the sweep of uploads beside a message that claims them', async () => {
  const ids = await files('claims');
  // the real store is a folder; no file is there, and none is needed
  const noFiles = { discard: () => Promise.resolve() };
  const options = { sql, rows: uploads(), store: noFiles, orphanMs: 86_400_000, everyMs: 3_600_000 };
  const sweep = new UploadSweep({ ...options, metrics: new Metrics(), log: silentLog });
  const message = { room: 'hall', message: randomUUID() };
  let claimed: readonly unknown[] = [];
  try {
    await crossing(
      (tx) => tx`select from uploads where id = ${ids[1]} for update`,
      async () => (claimed = await uploads().claim(ids, 'claims', message)),
      () => sweep.ran(),
    );
  } finally {
    await sweep.stop();
  }
  // the message came first, and keeps its files for a day
  expect(claimed).toHaveLength(3);
  expect(await sql`select state, message_id is not null as named from uploads where owner_id = 'claims'`).toEqual(
    ids.map(() => ({ state: 'complete', named: true })),
  );
});

it('the owner of uploads is forgotten beside a message that claims them', async () => {
  const ids = await files('forgotten');
  await crossing(
    (tx) => tx`select from uploads where id = ${ids[1]} for update`,
    () => uploads().claim(ids, 'forgotten', { room: 'hall', message: randomUUID() }),
    () => forgetUser(sql, 'forgotten', { keepMessages: true, applied: () => Promise.resolve() }),
  );
  expect(await sql`select from uploads where owner_id = 'forgotten'`).toEqual([]);
});

it('a refused message gives its files back beside another attempt to send it', async () => {
  const ids = await files('again');
  const message = { room: 'hall', message: randomUUID() };
  await uploads().claim(ids, 'again', message);
  await crossing(
    (tx) => tx`select from uploads where id = ${ids[1]} for update`,
    () => uploads().claim(ids, 'again', message),
    () => uploads().release(ids.toReversed(), message),
  );
  expect(await sql`select from uploads where owner_id = 'again' and message_id is not null`).toEqual([]);
});

it('two uploads of one user that begin at once do not share the last free bytes', async () => {
  const outcomes: string[] = [];
  const begin = async (): Promise<unknown> =>
    outcomes.push(
      await uploads().create(
        { id: randomUUID(), owner: 'full', name: 'a.pdf', bytes: 60 },
        { maxOpenPerUser: 10, maxBytesPerUser: 100 },
      ),
    );
  await crossing((tx) => tx`select pg_advisory_xact_lock(hashtextextended('parley:uploads:full', 0))`, begin, begin);
  expect(outcomes.toSorted()).toEqual(['bytes', 'ok']);
});

it('an upload begins beside the clean-up and the forgetting of the other uploads of its user', async () => {
  const ids = await files('busy');
  let outcome: string | undefined;
  await crossing(
    (tx) => tx`select from uploads where id = ${ids[1]} for update`,
    () => forgetUser(sql, 'busy', { keepMessages: true, applied: () => Promise.resolve() }),
    async () => {
      const upload = { id: randomUUID(), owner: 'busy', name: 'a.pdf', bytes: 60 };
      outcome = await uploads().create(upload, { maxOpenPerUser: 10, maxBytesPerUser: 100 });
    },
  );
  expect(outcome).toBe('ok');
});
