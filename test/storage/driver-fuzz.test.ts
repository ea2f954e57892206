/**
 * Random work on the patched driver. More of it: DRIVER_FUZZ_OPERATIONS=2000000; once more the same: DRIVER_FUZZ_SEED.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createClient } from '../../src/storage/client.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { fuzz } from '../support/driver-fuzz.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';

const operations = Number(process.env['DRIVER_FUZZ_OPERATIONS'] ?? 100_000);
const seed = Number(process.env['DRIVER_FUZZ_SEED'] ?? Date.now() % 1_000_000);

let database: TestDatabase;
let proxy: Proxy;
beforeAll(async () => {
  database = await createTestDatabase({ empty: true });
  await database.sql`create table fuzz (n int primary key)`;
  proxy = await startProxy(database.url);
});
afterAll(async () => {
  await proxy.close();
  await database.drop();
});

it(
  `gives every answer to its question and leaves no transaction open (seed ${seed})`,
  async () => {
    const left: unknown[] = [];
    const sql = createClient(proxy.url, {
      max: 5,
      connect_timeout: 3,
      onunsafe: (transaction) => left.push(transaction),
    });
    const { wrong, stored, undone, answered, failed, kinds } = await fuzz({
      sql,
      proxy,
      seed,
      operations,
      admin: database.sql,
      atOnce: 700,
      faultEvery: 2500,
    });
    console.log(`seed ${seed}: ${answered} answered, ${failed} failed by faults`, Object.fromEntries(kinds));
    expect(wrong).toEqual([]);
    expect(answered + failed).toBe(operations);
    expect(answered).toBeGreaterThan(operations * 0.5);
    await until('every place of the pool answers', () =>
      Promise.all(Array.from({ length: 10 }, () => sql`select pg_sleep(0.01)`)).then(
        () => true,
        () => false,
      ),
    );
    const open = await database.sql`
      select from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`;
    expect(open).toHaveLength(0);
    await sql.end({ timeout: 5 });
    const rows = new Set((await database.sql<{ n: number }[]>`select n from fuzz`).map(({ n }) => n));
    expect([...stored].filter((n) => !rows.has(n))).toEqual([]);
    expect([...undone].filter((n) => rows.has(n))).toEqual([]);
    // only a cancel request that stops a ROLLBACK leaves one, and the driver ends it
    expect(left.length).toBeLessThan(5);
  },
  Math.max(300_000, operations * 3),
);
