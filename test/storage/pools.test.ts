/** Commits, reads and background work have connections of their own, and every wait of a read ends. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { clientError } from '../../src/storage/failure.ts';
import { openServer, type Database } from '../../src/storage/database.ts';
import type { LeftTransaction } from '../../src/storage/client.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let proxy: Proxy;
let opened: Database;
const left: LeftTransaction[] = [];
beforeAll(async () => {
  database = await createTestDatabase({ empty: true });
  proxy = await startProxy(database.url);
  opened = await openServer({
    url: proxy.url,
    poolSize: 2,
    reads: { size: 2, waitMs: 300, statementTimeoutMs: 1000 },
    backgroundPoolSize: 1,
    onUnsafe: (transaction) => left.push(transaction),
  });
});
afterAll(async () => {
  await opened.close();
  await proxy.close();
  await database.drop();
});

it('a commit waits neither for reads nor for background work', async () => {
  const { sql, reads, background } = opened;
  const slow = [reads, reads, background].map((pool) => pool`select pg_sleep(0.8)`.execute());
  const queued = [reads, reads, background].map((pool) =>
    pool`select 1`.catch((error: { code: string }) => error.code),
  );
  let done = 0;
  for (const requested of slow) void requested.then(() => done++);
  for (let n = 0; n < 5; n++) expect([...(await sql`select ${n}::int as n`)]).toEqual([{ n }]);
  expect(done).toBe(0);
  await Promise.all([...slow, ...queued]);
});

it('a read that finds no connection in time is refused as overloaded, and one that runs too long as unavailable', async () => {
  const { reads } = opened;
  const running = Array.from({ length: 2 }, () =>
    reads`select pg_sleep(5)`.catch((error: unknown) => clientError(error)),
  );
  const waiting = await reads`select 1`.catch((error: unknown) => clientError(error));
  expect(waiting).toMatchObject({ code: 'overloaded', retryAfter: 1000 });
  for (const ended of await Promise.all(running)) expect(ended).toMatchObject({ code: 'unavailable' });
  expect([...(await reads`select 1 as one`)]).toEqual([{ one: 1 }]);
});

it('a connection that was left inside a transaction is ended and reported, in each pool', async () => {
  for (const [n, pool] of [opened.sql, opened.reads, opened.background].entries()) {
    await expect(pool.unsafe('begin')).rejects.toMatchObject({ code: 'UNSAFE_TRANSACTION' });
    await until('the connection is reported', () => left.length === n + 1);
    const pid = left[n]?.pid ?? 0;
    await until(
      'the session is gone',
      async () => (await database.sql`select from pg_stat_activity where pid = ${pid}`).length === 0,
    );
    expect([...(await pool`select 1 as one`)]).toEqual([{ one: 1 }]);
  }
});

// at once, for each waits more than ten seconds for a network that says nothing
it.concurrent(
  'a read of a silent network ends within its statement timeout and ten seconds',
  async () => {
    await opened.reads`select 1`;
    proxy.swallow();
    const started = performance.now();
    const error = await opened.reads`select 1`.catch((thrown: unknown) => clientError(thrown));
    expect(error).toMatchObject({ code: 'unavailable' });
    expect(performance.now() - started).toBeLessThan(30_000);
    proxy.restore();
  },
  60_000,
);

it.concurrent(
  'a commit of a silent network ends too, and the pool is whole afterwards',
  async () => {
    const silent = await startProxy(database.url);
    const url = `${silent.url}?statement_timeout=1s`;
    const server = await openServer({ url, poolSize: 2, backgroundPoolSize: 1 });
    try {
      for (const pool of [server.sql, server.background]) await pool`select 1`;
      silent.swallow();
      const started = performance.now();
      const codes = await Promise.all(
        [server.sql`select 1`, server.sql.begin((tx) => tx`select 1`), server.background`select 1`].map((requested) =>
          requested.then(
            () => 'answered',
            (thrown: unknown) => (clientError(thrown) as { code: string }).code,
          ),
        ),
      );
      expect(codes).toEqual(['unavailable', 'unavailable', 'unavailable']);
      expect(performance.now() - started).toBeLessThan(40_000);
      silent.restore();
      await until('the pool answers', async () => (await server.sql`select 1`).length === 1);
    } finally {
      await server.close();
      await silent.close();
    }
  },
  60_000,
);

it.concurrent(
  'a migration may be silent for as long as it takes',
  async () => {
    const server = await openServer({ url: `${database.url}?statement_timeout=100`, poolSize: 1 });
    const slept = server.migrating((sql) =>
      sql.begin(async (tx) => {
        await tx`set local statement_timeout = 0`;
        await tx`select pg_sleep(11)`;
        return 'done';
      }),
    );
    expect(await slept).toBe('done');
    await server.close();
  },
  30_000,
);
