import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openServer } from '../../src/storage/database.ts';
import { holdNodeLock } from '../../src/storage/locks.ts';
import { asAdministrator, createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

describe('the lock for one node', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase({ empty: true });
  });
  afterAll(() => database.drop());

  /** Ends the connections that hold the lock, as a restart of Postgres does. @returns their number */
  const cut = () =>
    asAdministrator(async (sql) => {
      const ended = await sql`
        select pg_terminate_backend(l.pid) from pg_locks l join pg_database d on d.oid = l.database
        where l.locktype = 'advisory' and l.granted and d.datname = ${new URL(database.url).pathname.slice(1)}`;
      return ended.length;
    });
  const hold = (onLost = vi.fn(), waitMs = 300) => holdNodeLock({ url: database.url, shared: false, onLost, waitMs });

  const share = () => holdNodeLock({ url: database.url, shared: true, onLost: vi.fn(), waitMs: 300 });

  it('refuses a second process, and says what to do', async () => {
    const first = await hold();
    await expect(hold()).rejects.toThrow(
      'Another Parley process is using this database; set REDIS_URL to run several processes',
    );
    await first.release();
    await (await hold()).release();
  });

  it('is shared by nodes that share Redis, and kept from one that does not', async () => {
    const [first, second] = [await share(), await share()];
    await expect(hold()).rejects.toThrow('set REDIS_URL');
    await first.release();
    await second.release();
    const alone = await hold();
    await expect(share()).rejects.toThrow('without REDIS_URL');
    await alone.release();
  });

  it('waits for a predecessor that is just going', async () => {
    const first = await hold();
    const second = hold(vi.fn(), 5000);
    await first.release();
    await (await second).release();
  });

  it('is taken again after the connection was lost', async () => {
    const onLost = vi.fn();
    const first = await hold(onLost);
    expect(await cut()).toBe(1);
    await expect
      .poll(() =>
        hold().then(
          (lock) => lock.release().then(() => 'free'),
          () => 'held',
        ),
      )
      .toBe('held');
    expect(await cut()).toBe(1);
    expect(onLost).not.toHaveBeenCalled();
    await first.release();
    await (await hold()).release();
  });

  it('reports that another process took it meanwhile', async () => {
    const onLost = vi.fn();
    const first = await hold(onLost);
    const thief = await openServer({ url: database.url, poolSize: 1 });
    // The query waits in the queue of the server, so it comes before the return of the first connection.
    const taken = thief.sql`select pg_advisory_lock(1885434476, 2)`.execute();
    const waiting = () => database.sql`
      select 1 from pg_locks where locktype = 'advisory' and not granted
      and database = (select oid from pg_database where datname = current_database())`;
    await expect.poll(waiting).toHaveLength(1);
    await cut();
    await taken;
    await expect.poll(() => onLost.mock.calls.length, { timeout: 5000 }).toBe(1);
    await first.release();
    await thief.close();
  });
});
