/** The faults that patches/postgres+3.4.9.patch fixes: connections that end at the wrong moment, and unwritable queries. */
import { EventEmitter, once } from 'node:events';
import { setImmediate as nextPhase, setTimeout as delay } from 'node:timers/promises';
import type postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createClient } from '../../src/storage/client.ts';
import { asAdministrator, createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let proxy: Proxy;
let sql: postgres.Sql;
beforeAll(async () => {
  database = await createTestDatabase({ empty: true });
  proxy = await startProxy(database.url);
});
afterAll(async () => {
  await proxy.close();
  await database.drop();
});
beforeEach(() => {
  // one place in the pool: if it were dead nothing would answer
  sql = createClient(proxy.url, { max: 1, connect_timeout: 3 });
});
afterEach(() => sql.end({ timeout: 1 }));

const pid = async (on: postgres.ISql): Promise<number> => {
  const [row] = await on<{ pid: number }[]>`select pg_backend_pid() as pid`;
  return row?.pid ?? 0;
};

async function endBackend(backend: number): Promise<void> {
  await asAdministrator((admin) => admin`select pg_terminate_backend(${backend})`);
  const isGone = (): Promise<boolean> =>
    asAdministrator(async (admin) => (await admin`select from pg_stat_activity where pid = ${backend}`).length === 0);
  await until('the backend is gone', isGone);
}

it('a pool whose connection ended under a query can be ended', async () => {
  const other = createClient(proxy.url, { max: 2, connect_timeout: 3 });
  await other`select 1`;
  const requests = other`select pg_sleep(5)`.catch((error: { code: string }) => error.code);
  const begun = other.begin((tx) => tx`select pg_sleep(5)`).catch((error: { code: string }) => error.code);
  await until('both run', async () => {
    const rows = await asAdministrator(
      (admin) => admin`
        select from pg_stat_activity
        where datname = ${new URL(database.url).pathname.slice(1)} and query like '%pg_sleep(5)%' and state = 'active'`,
    );
    return rows.length === 2;
  });
  proxy.cut();
  await Promise.all([requests, begun]);
  await other.end();
  proxy.restore();
});

describe('a transaction whose connection ends', () => {
  it('fails, its rollback too, and the process and the pool go on', async () => {
    const transaction = sql.begin(async (tx) => {
      await endBackend(await pid(tx));
      await tx`select 1`;
    });
    await expect(transaction).rejects.toThrow(/terminat|closed|CONNECTION/i);
    expect(await sql`select 1 as one`).toEqual([{ one: 1 }]);
  });

  it('does not go on in the connection that took its place', async () => {
    let ownPid = 0;
    let late: Promise<unknown> = Promise.resolve();
    const gate = new EventEmitter();
    const transaction = sql.begin(async (tx) => {
      ownPid = await pid(tx);
      await once(gate, 'open');
      late = pid(tx);
      await late;
    });
    const failed = expect(transaction).rejects.toThrow();
    await until('the transaction has begun', () => ownPid > 0);
    await endBackend(ownPid);
    await failed;
    expect(await pid(sql)).not.toBe(ownPid);
    gate.emit('open');
    await nextPhase();
    await expect(late).rejects.toThrow();
  });
});

it('answers every query during the end of connections, and the pool answers afterwards', async () => {
  await sql.end();
  sql = createClient(proxy.url, { max: 4, connect_timeout: 3 });
  let answered = 0;
  for (let round = 0; round < 30; round++) {
    const requests = Array.from({ length: 12 }, (_, n) => {
      const ask = (): Promise<unknown> => (n % 3 === 0 ? sql.begin((tx) => tx`select ${n}`) : sql`select ${n}`);
      // a refused caller retries at once, in the phase in which the other connections end
      return ask()
        .catch(ask)
        .catch(() => undefined)
        .then(() => answered++);
    });
    if (round % 2 === 0) await nextPhase();
    proxy.cut();
    proxy.restore();
    await Promise.all(requests);
  }
  expect(answered).toBe(360);
  const allAnswer = (): Promise<boolean> =>
    Promise.all(Array.from({ length: 8 }, () => sql`select pg_sleep(0.01)`)).then(
      () => true,
      () => false, // the last cut may still meet one that connects
    );
  await until('every place of the pool answers', allAnswer);
});

it('a connection that ends while it begins fails its own caller, and no other', async () => {
  for (let held = 0; held < 40; held += 2) {
    proxy.slow(() => 4);
    const requests = sql`select 1`.then(
      () => 'answered',
      () => 'refused',
    );
    await delay(held);
    proxy.cut();
    proxy.restore();
    expect(['answered', 'refused']).toContain(await requests);
  }
});

const ask = (on: postgres.ISql, at: number): Promise<unknown> =>
  on<{ at: number }[]>`select ${at}::timestamptz as at`.then(
    ([row]) => row?.at,
    (error: Error) => error.message,
  );
const requestAll = (on: postgres.ISql, list: number[]): Promise<unknown[]> =>
  Promise.all(list.map((at) => ask(on, at)));

describe('a query whose values cannot be written', () => {
  // before: the one under way was refused in its stead, and all behind it got each other's answers
  const refused = 'Invalid time value';

  it.each([
    ['alone', [9e15], [refused]],
    ['before others', [9e15, 2, 3], [refused, 2, 3]],
    ['among others', [1, 9e15, 3, 9e15, 9e15, 6], [1, refused, 3, refused, refused, 6]],
    ['behind others', [1, 2, 9e15], [1, 2, refused]],
  ])('fails alone, %s', async (_, requests, answers) => {
    // a first time, or it is described before its values are written
    expect(await ask(sql, 0)).toBe(0);
    expect(await requestAll(sql, requests)).toEqual(answers);
    expect(await requestAll(sql, [7, 8, 9])).toEqual([7, 8, 9]);
  });

  it('fails alone, too, where one is not there at all', async () => {
    const nothing = undefined as unknown as number;
    expect(await ask(sql, 0)).toBe(0);
    expect(await requestAll(sql, [1, nothing, 3])).toEqual([1, expect.stringMatching('Undefined values'), 3]);
    expect(await requestAll(sql, [nothing])).toEqual([expect.stringMatching('Undefined values')]);
    expect(await requestAll(sql, [7, 8, 9])).toEqual([7, 8, 9]);
  });

  it('undoes its transaction, and the connection goes on', async () => {
    expect(await ask(sql, 0)).toBe(0);
    let answers: unknown[] = [];
    const transaction = sql.begin(async (tx) => {
      answers = await requestAll(tx, [1, 9e15, 3]);
      answers.push(...(await requestAll(tx, [9e15])), ...(await requestAll(tx, [5])));
    });
    await expect(transaction).rejects.toThrow(refused);
    expect(answers).toEqual([1, refused, 3, refused, 5]);
    expect(await requestAll(sql, [7, 8, 9])).toEqual([7, 8, 9]);
  });
});
