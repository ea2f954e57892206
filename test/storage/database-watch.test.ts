import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pino } from 'pino';
import { ServerClock } from '../../src/storage/clock.ts';
import { DatabaseWatch } from '../../src/storage/database-watch.ts';
import { openServer, type Database } from '../../src/storage/database.ts';
import { hazardsOf } from '../../src/storage/durability.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';

interface Line {
  readonly level: number;
  readonly msg: string;
}

let database: TestDatabase;
let proxy: Proxy;
beforeAll(async () => {
  database = await createTestDatabase();
  proxy = await startProxy(database.url);
});
afterAll(async () => {
  await proxy.close();
  await database.drop();
});

let pool: Database;
let watch: DatabaseWatch;
let lines: Line[];
let metrics: Metrics;
const clock = new ServerClock();
beforeEach(async () => {
  lines = [];
  metrics = new Metrics();
  pool = await openServer({ url: proxy.url, poolSize: 2, connectTimeoutSeconds: 1 });
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as Line) });
  watch = new DatabaseWatch({ sql: pool.sql, clock, metrics, log, kind: 'server' });
  await watch.poll();
});
afterEach(async () => {
  watch.stop();
  await pool.close();
});

const value = async (series: string): Promise<number> => {
  const line = (await metrics.text()).split('\n').find((text) => text.startsWith(`${series} `));
  return Number(line?.split(' ').at(-1));
};
const logged = (words: string): number => lines.filter(({ msg }) => msg.includes(words)).length;

describe('the watch of Postgres', () => {
  it('says once that Postgres does not answer and once that it is back, and the metric follows', async () => {
    expect(await value('parley_database_up')).toBe(1);
    proxy.cut();
    await until('it is seen', () => logged('does not answer') > 0, 15_000);
    expect(await value('parley_database_up')).toBe(0);
    for (let n = 0; n < 3; n++) await expect(watch.poll()).rejects.toThrow(/^Postgres does not answer$/);
    proxy.restore();
    await until('it is back', () => logged('available again') > 0, 15_000);
    expect(await value('parley_database_up')).toBe(1);
    expect([logged('does not answer'), logged('available again')]).toEqual([1, 1]);
  });

  it('does not speak of a connection that ended while the server is well', async () => {
    await pool.sql`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`;
    await watch.poll().catch(() => {});
    await watch.poll();
    expect(logged('does not answer')).toBe(0);
  });

  it('says that Postgres is read-only, and sees a session that takes writes again by itself', async () => {
    const name = new URL(database.url).pathname.slice(1);
    const [admin] = [database.sql];
    await pool.sql`set default_transaction_read_only = on`;
    await admin.unsafe(`alter database ${name} set default_transaction_read_only = on`);
    await expect
      .poll(
        () =>
          watch.poll().then(
            () => 'well',
            (error: Error) => error.message,
          ),
        { timeout: 5000 },
      )
      .toBe('Postgres is read-only');
    expect(await value('parley_database_up')).toBe(0);
    expect(await value('parley_database_unsafe{setting="read_only"}')).toBe(1);
    expect(logged('is read-only')).toBe(1);
    await admin`set default_transaction_read_only = off`;
    await admin.unsafe(`alter database ${name} reset default_transaction_read_only`);
    await until('writes are taken', () => logged('available again') === 1, 10_000);
    expect(await value('parley_database_unsafe{setting="read_only"}')).toBe(0);
  });

  it('counts connections in use and statements that wait for one', async () => {
    const requests = Array.from({ length: 300 }, () => pool.sql`select pg_sleep(0.01)`.execute());
    await until('statements wait', async () => (await value('parley_database_statements_waiting')) > 0);
    expect(await value('parley_database_connections_used')).toBe(2);
    await Promise.all(requests);
    await until('none waits', async () => (await value('parley_database_statements_waiting')) === 0);
  });

  it('warns once of settings by which messages are lost, and has them in the metric', async () => {
    // the Postgres of the tests runs without fsync, for speed
    const [row] = await pool.sql<[{ fsync: string }]>`select current_setting('fsync') as fsync`;
    await watch.poll();
    const unsafe = row.fsync === 'off' ? 1 : 0;
    expect(await value('parley_database_unsafe{setting="fsync"}')).toBe(unsafe);
    expect(logged('fsync is off')).toBe(unsafe);
    const good = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'local', read_only: 'off' };
    expect(hazardsOf(good)).toEqual([]);
    expect(hazardsOf({ fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off', read_only: 'on' })).toEqual([
      'fsync',
      'full_page_writes',
      'read_only',
      'synchronous_commit',
    ]);
  });
});

describe('the clock of Postgres', () => {
  it('is that of Postgres to the millisecond or so, and steps only by what was measured', () => {
    const other = new ServerClock();
    const now = Date.now();
    other.measured(now + 600_000, now - 5, now + 5);
    expect(Math.abs(other.now() - Date.now() - 600_000)).toBeLessThan(50);
    const offset = other.offsetMs;
    other.measured(now + 600_002, now - 5, now + 5);
    expect(other.offsetMs).toBe(offset);
    // an answer that took long says little
    other.measured(now, now - 4000, now + 4000);
    expect(other.offsetMs).toBe(offset);
    other.measured(now, now - 5, now + 5);
    expect(Math.abs(other.offsetMs)).toBeLessThan(10);
  });

  it('is measured by the watch', () => {
    expect(Math.abs(clock.offsetMs)).toBeLessThan(1000);
  });
});
