/* oxlint-disable unicorn/consistent-function-scoping -- each function stands beside its use */
/** Connections of the patched driver that end: see patches/README.md. Unhandled rejections fail the run by themselves. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createClient } from '../../src/storage/client.ts';
import { asAdministrator, createTestDatabase, type TestDatabase } from '../support/database.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let proxy: Proxy;
const clients: postgres.Sql[] = [];
const servers: Server[] = [];

beforeAll(async () => {
  database = await createTestDatabase({ empty: true });
  await database.sql`create table numbers (n int primary key)`;
  await database.sql`insert into numbers select n from generate_series(1, 5000) n`;
  await database.sql`create table kept (n int)`;
  proxy = await startProxy(database.url);
});
afterAll(async () => {
  await proxy.close();
  await database.drop();
});
beforeEach(() => database.sql`truncate kept`);
afterEach(async () => {
  proxy.restore();
  await Promise.all(clients.splice(0).map((sql) => sql.end({ timeout: 1 })));
  for (const server of servers.splice(0)) server.close();
});

function client(options: object = {}, url = proxy.url): postgres.Sql {
  const sql = createClient(url, { max: 1, connect_timeout: 3, ...options });
  clients.push(sql);
  return sql;
}

const answers = (sql: postgres.ISql): Promise<boolean> =>
  sql`select 1`.then(
    () => true,
    () => false,
  );
async function terminate(): Promise<void> {
  await asAdministrator(
    (admin) => admin`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = ${new URL(database.url).pathname.slice(1)} and query like '%/*own*/%' and pid <> pg_backend_pid()`,
  );
}

const ends: [string, () => Promise<void> | void][] = [
  ['a reset', () => proxy.cut()],
  ['a FIN', () => proxy.finish()],
  ['half a message', () => proxy.tear()],
  ['pg_terminate_backend', terminate],
];

/** The work under way when the connection ends. The work must fail, or be complete. */
const underWay: [string, (sql: postgres.Sql) => Promise<unknown>][] = [
  ['rows', (sql) => sql`select n, pg_sleep(0.001) /*own*/ from numbers`],
  [
    'rows of many statements',
    (sql) =>
      Promise.all(
        Array.from({ length: 150 }, (_, n) => sql`select ${n}::int, pg_sleep(0.01) /*own*/ from numbers limit 1`),
      ),
  ],
  ['a simple query', (sql) => sql.unsafe('select 1 as a; select n, pg_sleep(0.001) /*own*/ from numbers')],
  ['forEach', (sql) => sql`select n, pg_sleep(0.001) /*own*/ from numbers`.forEach(() => {})],
  ['a cursor', (sql) => sql`select n, pg_sleep(0.001) /*own*/ from numbers`.cursor(50, () => void delay(1))],
  [
    'an iterated cursor',
    async (sql) => {
      let seen = 0;
      for await (const rows of sql`select n, pg_sleep(0.001) /*own*/ from numbers`.cursor(50)) {
        seen += rows.length;
        await delay(5);
      }
      if (seen === 5000) return;
      expect(`the loop ended by itself after ${seen} rows`).toBe('an error');
    },
  ],
  [
    'a transaction',
    (sql) =>
      sql.begin(async (tx) => {
        for (let n = 0; n < 1000; n++) await tx`insert into kept select ${n}::int from pg_sleep(0.005) /*own*/`;
      }),
  ],
  [
    'a transaction that waits',
    (sql) =>
      sql.begin(async (tx) => {
        await tx`insert into kept select 1 /*own*/`;
        await delay(5000);
      }),
  ],
  [
    'COPY from',
    async (sql) => {
      const lines = async function* () {
        for (let n = 0; n < 5000; n++, await delay(1)) yield `${n}\n`;
      };
      await pipeline(Readable.from(lines()), await sql`copy /*own*/ kept from stdin`.writable());
    },
  ],
  [
    'COPY to',
    async (sql) => {
      let bytes = 0;
      for await (const chunk of await sql`copy (select n, pg_sleep(0.001) /*own*/ from numbers) to stdout`.readable()) {
        bytes += (chunk as Buffer).length;
      }
      return bytes;
    },
  ],
  ['a description', (sql) => sql`select pg_sleep(3) /*own*/`.then(() => sql`select 1 where 1 = ${1}`.describe())],
];

describe.each(ends)('after %s', (name, end) => {
  it.each(underWay)('during %s, nothing is left for the next session', async (_, start) => {
    const sql = client();
    await sql`select 1`;
    const running = start(sql).then(
      () => 'done',
      () => 'failed',
    );
    await delay(150);
    await end();
    await delay(0);
    proxy.restore();
    expect(await running).toBe('failed');
    await until('the pool answers', () => answers(sql));
    const [two, rows, seven] = await Promise.all([
      sql`select 2 as two`,
      sql`select n from numbers where n <= ${3} order by n`,
      sql.begin((tx) => tx`select 7 as seven`),
    ]);
    expect([[...two], [...rows], [...seven]]).toEqual([[{ two: 2 }], [{ n: 1 }, { n: 2 }, { n: 3 }], [{ seven: 7 }]]);
    // half a message may be the answer of COMMIT
    if (name !== 'half a message') expect(await database.sql`select from kept`).toHaveLength(0);
  });
});

describe('a session that the server ends by a timeout', () => {
  it.each([
    ['idle_session_timeout', (sql: postgres.Sql) => sql`set idle_session_timeout = 40`],
    [
      'idle_in_transaction_session_timeout',
      (sql: postgres.Sql) =>
        sql.begin(async (tx) => {
          await tx`set idle_in_transaction_session_timeout = 40`;
          await delay(150);
          await tx`select 1`;
        }),
    ],
  ])('%s leaves nothing for the next one', async (_, provoke) => {
    const sql = client();
    await provoke(sql).catch(() => {});
    await delay(150);
    expect([...(await sql`select 2 as two`)]).toEqual([{ two: 2 }]);
  });
});

/** A server that does this with each connection. */
async function serve(work: (near: Socket) => void): Promise<string> {
  const server = createServer((near) => {
    near.on('error', () => {});
    work(near);
  }).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `postgres://postgres@127.0.0.1:${(server.address() as AddressInfo).port}/postgres`;
}
const fatal = (code: string): Buffer => {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${code}\0Mended by the test\0\0`);
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeUInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
};

describe('while a session begins', () => {
  it('its end fails what waits for it, and nothing later', async () => {
    const target = new URL(database.url);
    let refusals = 1;
    const url = await serve((near) => {
      const far = connect(Number(target.port), target.hostname);
      far.on('error', () => near.destroy());
      near.on('close', () => far.destroy());
      far.pipe(near);
      near.on('data', (chunk) => {
        if (refusals > 0 && chunk.includes('select b.oid')) {
          refusals--;
          near.end(fatal('57P01'));
        } else far.write(chunk);
      });
    });
    const address = new URL(database.url);
    address.port = new URL(url).port;
    const sql = client({}, address.href);
    await expect(sql`select 1`).rejects.toThrow();
    for (let n = 0; n < 3; n++) expect([...(await sql`select ${n}::int as n`)]).toEqual([{ n }]);
  });

  it.each([
    ['at once', (near: Socket) => near.end()],
    ['after the first bytes', (near: Socket) => near.once('data', () => near.end())],
    ['by an error', (near: Socket) => near.end(fatal('53300'))],
  ])('a server that ends it %s fails the query instead of trying without a limit', async (_, work) => {
    const sql = client({}, await serve(work));
    await expect(sql`select 1`).rejects.toThrow();
    await expect(Promise.all([sql`select 1`, sql`select 2`])).rejects.toThrow();
  });

  it('of several hosts the next one is tried, each once', async () => {
    const dead = new URL(await serve((near) => near.end())).host;
    const good = new URL(database.url);
    const several = (...hosts: string[]): string =>
      `postgres://${good.username}:${good.password}@${hosts.join(',')}${good.pathname}`;
    const sql = client({}, several(dead, dead, good.host));
    expect([...(await sql`select 1 as one`)]).toEqual([{ one: 1 }]);
    await expect(client({}, several(dead, dead, dead))`select 1`).rejects.toMatchObject({ code: 'CONNECTION_CLOSED' });
  });

  it('a socket that cannot be made fails the query, and its place in the pool stays', async () => {
    let failures = 2;
    const sql = client({
      socket: () => {
        if (failures-- > 0) throw new Error('no socket');
        const target = new URL(database.url);
        return connect(Number(target.port), target.hostname);
      },
    });
    await expect(sql`select 1`).rejects.toThrow('no socket');
    await expect(sql`select 1`).rejects.toThrow('no socket');
    expect([...(await sql`select 1 as one`)]).toEqual([{ one: 1 }]);
  });
});

describe('every wait ends', () => {
  it.each(['a statement', 'a transaction', 'the first query of a session'])(
    '%s, when the network is silent',
    async (what) => {
      const sql = client({ silence_timeout: 0.3 });
      if (what !== 'the first query of a session') await sql`select 1`;
      // Only a wait can prove it: the driver leaves a connection without work alone, however long it is silent.
      await delay(500);
      if (what !== 'the first query of a session') expect(await answers(sql)).toBe(true);
      const slow =
        what === 'a transaction'
          ? sql.begin((tx) =>
              tx`select pg_sleep(0.05)`
                .then(() => delay(400))
                .then(() => {
                  proxy.swallow();
                  return tx`select 1`;
                }),
            )
          : undefined;
      if (slow === undefined) proxy.swallow();
      const requests = slow ?? sql`select 1`;
      await expect(requests).rejects.toMatchObject({
        code: expect.stringMatching(/CONNECTION_SILENT|CONNECTION_CLOSED|CONNECT_TIMEOUT/),
      });
      proxy.restore();
      await until('the pool answers', () => answers(sql));
    },
  );

  it('also when statements go on to be written to the silent connection', async () => {
    const sql = client({ silence_timeout: 0.3 });
    await sql`select 1`;
    proxy.swallow();
    const started = performance.now();
    const answered: number[] = [];
    const requests = [];
    for (let n = 0; n < 15; n++) {
      requests.push(sql`select 1`.catch(() => answered.push(performance.now() - started)));
      await delay(100);
    }
    expect(answered.length).toBeGreaterThan(0);
    expect(answered[0]).toBeLessThan(1000);
    proxy.restore();
    await Promise.all(requests);
    await until('the pool answers', () => answers(sql));
  });

  it('a statement waits for a free connection a limited time', async () => {
    const sql = client({ wait_timeout: 0.2, max_pipeline: 0 });
    await sql`select 1`;
    const holding = sql`select pg_sleep(0.6)`.execute();
    await delay(0);
    const first = sql`select 1`.execute();
    const second = delay(100).then(() => sql`select 2`);
    const third = delay(450).then(() => sql`select 3 as three`);
    const begun = sql.begin((tx) => tx`select 4`);
    const reserved = sql.reserve();
    await Promise.all(
      [first, second, begun, reserved].map((late) => expect(late).rejects.toMatchObject({ code: 'POOL_TIMEOUT' })),
    );
    await holding;
    expect([...(await third)]).toEqual([{ three: 3 }]);
    expect(await answers(sql)).toBe(true);
  });
});

describe('a pooled connection inside a transaction', () => {
  it.each([
    ['begin', 1],
    ['begin', 2],
    ['start transaction', 2],
    ['select 1; begin; select 2', 2],
    ['begin; select 1 / 0', 2],
  ])('is ended: %s on a pool of %i', async (text, max) => {
    const left: unknown[] = [];
    const sql = client({ max, onunsafe: (transaction: unknown) => left.push(transaction) });
    await sql`select 1`;
    // what is sent behind it would be acknowledged and lost
    const [opened, ...behind] = await Promise.allSettled([
      sql.unsafe(text),
      ...Array.from({ length: 20 }, (_, n) => sql`insert into kept values (${n})`),
    ]);
    expect(opened?.status).toBe('rejected');
    await until('the pool answers', () => answers(sql));
    const acknowledged = behind.filter(({ status }) => status === 'fulfilled').length;
    expect(await database.sql`select from kept`).toHaveLength(acknowledged);
    expect(left).toEqual([{ pid: expect.any(Number), status: text.includes('/ 0') ? 'E' : 'T' }]);
    await sql`insert into kept values (1)`;
    expect(await database.sql`select from kept`).toHaveLength(acknowledged + 1);
  });

  it('is ended where a reserved connection is released inside of one', async () => {
    const left: unknown[] = [];
    const sql = client({ onunsafe: (transaction: unknown) => left.push(transaction) });
    for (const wait of [true, false]) {
      const own = await sql.reserve();
      const begun = own`begin`;
      const settled = begun.catch(() => {});
      if (wait) await settled;
      else await delay(0);
      own.release();
      await settled;
      await until('the pool answers', () => answers(sql));
    }
    expect(left).toHaveLength(2);
    expect(
      await database.sql`select from pg_stat_activity where state like 'idle in tr%' and datname = current_database()`,
    ).toHaveLength(0);
  });
});
