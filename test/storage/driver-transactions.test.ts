/** Transactions of the patched driver: see patches/README.md. Each test failed with the driver as published. */
import { setTimeout as delay } from 'node:timers/promises';
import type postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createClient } from '../../src/storage/client.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let proxy: Proxy;
const clients: postgres.Sql[] = [];

beforeAll(async () => {
  database = await createTestDatabase({ empty: true });
  proxy = await startProxy(database.url);
  await database.sql`create table kept (n int primary key)`;
});
afterAll(async () => {
  await proxy.close();
  await database.drop();
});
beforeEach(() => database.sql`truncate kept`);
afterEach(async () => {
  await Promise.all(clients.splice(0).map((sql) => sql.end({ timeout: 1 })));
});

function client(max: number, options: object = {}): postgres.Sql {
  const sql = createClient(proxy.url, { max, connect_timeout: 3, ...options });
  clients.push(sql);
  return sql;
}

/** Opens all connections of the pool and prepares the statement of `ask`. */
const warm = (sql: postgres.Sql, max: number): Promise<unknown> =>
  Promise.all(Array.from({ length: max * 3 }, (_, n) => sql`select ${n}::int as n, pg_sleep(0.005)`));
const ask = (sql: postgres.ISql, n: number): Promise<unknown> =>
  sql<{ n: number }[]>`select ${n}::int as n, pg_sleep(0.0002)`.then(([row]) => row?.n);
const requestMany = (sql: postgres.ISql, count: number): Promise<unknown>[] =>
  Array.from({ length: count }, (_, n) => ask(sql, n));
const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

const stored = async (): Promise<number[]> =>
  (await database.sql<{ n: number }[]>`select n from kept order by n`).map(({ n }) => n);
async function expectNobodyInTransaction(): Promise<void> {
  const open = await database.sql`
    select pid from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`;
  expect(open).toEqual([]);
}

/** The pool stores all acknowledged rows after the transactions, whatever ends its connections. */
async function expectAcksAreKept(sql: postgres.Sql, before: number[]): Promise<void> {
  await expectNobodyInTransaction();
  for (let n = 100; n < 110; n++) await sql`insert into kept values (${n})`;
  proxy.cut();
  proxy.restore();
  expect(await stored()).toEqual([...before, ...upTo(10).map((n) => n + 100)]);
}

describe('begin behind a filled pipeline', () => {
  it.each(
    [1, 2, 3].flatMap((max) =>
      [98, 99, 100, 101, 102].flatMap((filled) => [1, 3].map((n) => [filled, max, n] as const)),
    ),
  )(
    'with %i statements under way on each of %i connections, %i transactions own their connection',
    async (...input) => {
      const [filled, max, transactions] = input;
      const sql = client(max);
      await warm(sql, max);
      const answers = requestMany(sql, filled * max);
      const begun = upTo(transactions).map((n) =>
        sql.begin(async (tx) => {
          await tx`insert into kept values (${n})`;
          return n;
        }),
      );
      expect(await Promise.all(begun)).toEqual(upTo(transactions));
      expect(await Promise.all(answers)).toEqual(upTo(filled * max));
      await expectAcksAreKept(sql, upTo(transactions));
    },
  );

  it.each([0, 1, 2])('works with max_pipeline %i', async (max_pipeline) => {
    const sql = client(2, { max_pipeline });
    const begun = upTo(5).map((n) => sql.begin((tx) => tx`insert into kept values (${n})`));
    await Promise.all([...begun, ...requestMany(sql, 20)]);
    await expectAcksAreKept(sql, upTo(5));
  });

  it('works where the socket takes no more bytes', async () => {
    const sql = client(1);
    await warm(sql, 1);
    const large = 'x'.repeat(16 * 1024 * 1024);
    const filled = sql<{ n: number }[]>`select length(${large}) as n`;
    const described = sql<{ n: number }[]>`select length(${large}) as n`;
    const begun = sql.begin((tx) => tx`insert into kept values (0)`);
    expect((await filled)[0]?.n).toBe(large.length);
    expect((await described)[0]?.n).toBe(large.length);
    await begun;
    // now prepared: the statement and BEGIN leave in one turn, while the socket is full
    const [again] = await Promise.all([
      sql<{ n: number }[]>`select length(${large}) as n`,
      sql.begin((tx) => tx`insert into kept values (1)`),
    ]);
    expect(again[0]?.n).toBe(large.length);
    await expectAcksAreKept(sql, [0, 1]);
  });

  it('keeps savepoints and statements of nested scopes in their transaction', async () => {
    const sql = client(2);
    await warm(sql, 2);
    const answers = requestMany(sql, 200);
    await sql.begin(async (tx) => {
      await tx`insert into kept values (0)`;
      await tx.savepoint((inner) => inner`insert into kept values (1)`);
      const undone = tx.savepoint(async (inner) => {
        await inner`insert into kept values (2)`;
        await inner`insert into kept values (1)`;
      });
      await expect(undone).rejects.toMatchObject({ code: '23505' });
      // more than a pipeline inside of the transaction
      expect(await Promise.all(requestMany(tx, 250))).toEqual(upTo(250));
    });
    expect(await Promise.all(answers)).toEqual(upTo(200));
    await expectAcksAreKept(sql, [0, 1]);
  });
});

const insertSeven = (tx: postgres.TransactionSql) => tx`insert into kept values (7)`;

describe('a transaction that has ended', () => {
  it.each([
    ['committed', () => Promise.resolve()],
    ['rolled back', () => Promise.reject(new Error('undone'))],
  ])('refuses statements after it was %s', async (_, finish) => {
    const sql = client(1);
    let late: postgres.TransactionSql | undefined;
    await sql
      .begin(async (tx) => {
        late = tx;
        await tx`select 1`;
        return finish();
      })
      .catch(() => {});
    await expect(insertSeven(late as unknown as postgres.TransactionSql)).rejects.toMatchObject({
      code: 'TRANSACTION_ENDED',
    });
    expect(await stored()).toEqual([]);
    expect(await ask(sql, 1)).toBe(1);
  });
});

it('a transaction that Postgres rolls back at its commit is no success', async () => {
  const sql = client(1);
  const done = sql.begin(async (tx) => {
    await tx`insert into kept values (1)`;
    await tx
      .savepoint(async (inner) => {
        // the rollback to it fails then, and with that the transaction
        await inner`release savepoint s0`;
        throw new Error('caught by the caller');
      })
      .catch(() => {});
    return 'committed';
  });
  await expect(done).rejects.toMatchObject({ code: 'TRANSACTION_ROLLED_BACK' });
  expect(await stored()).toEqual([]);
  expect(await ask(sql, 1)).toBe(1);
});

describe('a reserved connection', () => {
  it.each([99, 100, 101])('works behind %i statements on one connection', async (filled) => {
    const sql = client(1);
    await warm(sql, 1);
    const answers = requestMany(sql, filled);
    const own = await sql.reserve();
    await own`begin`;
    await own`insert into kept values (0)`;
    await own`commit`;
    own.release();
    expect(await Promise.all(answers)).toEqual(upTo(filled));
    await expectAcksAreKept(sql, [0]);
  });

  it('answers queries from before its release, and none after', async () => {
    const sql = client(1);
    const own = await sql.reserve();
    const requests = requestMany(own, 250);
    await delay(0);
    own.release();
    own.release();
    await expect(own`select 1`).rejects.toMatchObject({ code: 'CONNECTION_RELEASED' });
    expect(await Promise.all(requests)).toEqual(upTo(250));
    expect(await Promise.all(requestMany(sql, 3))).toEqual(upTo(3));
  });

  it('refuses statements when it is lost, and its release takes no connection of others', async () => {
    const sql = client(1);
    const own = await sql.reserve();
    const waiting = requestMany(own, 150).map((requests) => requests.catch((error: { code: string }) => error.code));
    await delay(0);
    proxy.cut();
    proxy.restore();
    await Promise.all(waiting);
    await until('the pool answers', () =>
      ask(sql, 1).then(
        () => true,
        () => false,
      ),
    );
    await sql.begin(async (tx) => {
      await tx`insert into kept values (0)`;
      await expect(own`rollback`).rejects.toThrow();
      own.release();
      await tx`insert into kept values (1)`;
    });
    expect(await stored()).toEqual([0, 1]);
  });

  it('is given once, also where the driver reads no types', async () => {
    for (const fetch_types of [true, false]) {
      const sql = client(2, { fetch_types });
      const [first, second] = await Promise.all([sql.reserve(), sql.reserve()]);
      const third = sql.reserve();
      const pids = await Promise.all([first, second].map((own) => own`select pg_backend_pid() as pid`));
      expect(pids[0]?.[0]?.['pid']).not.toBe(pids[1]?.[0]?.['pid']);
      first.release();
      (await third).release();
      second.release();
      expect(await Promise.all(requestMany(sql, 5))).toEqual(upTo(5));
    }
  });

  it('comes, or fails, where the connection that it waits for is lost', async () => {
    const sql = client(1);
    await ask(sql, 1);
    const holding = sql`select pg_sleep(5)`.catch((error: { code: string }) => error.code);
    await delay(50);
    const own = sql.reserve().then(
      (reserved) => reserved.release(),
      () => {},
    );
    proxy.cut();
    proxy.restore();
    await holding;
    await own;
    await until('the pool answers', () =>
      ask(sql, 1).then(
        () => true,
        () => false,
      ),
    );
  });

  it('is no loss for the pool when it cannot be opened', async () => {
    const sql = client(1);
    proxy.cut();
    await expect(sql.reserve()).rejects.toThrow();
    proxy.restore();
    expect(await Promise.all(requestMany(sql, 5))).toEqual(upTo(5));
    const own = await sql.reserve();
    own.release();
    expect(await ask(sql, 1)).toBe(1);
  });
});
