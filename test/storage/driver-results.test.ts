/* oxlint-disable unicorn/consistent-function-scoping -- each function stands beside its use */
/** Results of the patched driver after something failed in the middle of one: see patches/README.md. */
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createClient } from '../../src/storage/client.ts';
import { asAdministrator, createTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let sql: postgres.Sql;

beforeAll(async () => {
  database = await createTestDatabase({ empty: true });
  await database.sql`create table numbers (n int primary key, odd int)`;
  await database.sql`insert into numbers select n, n % 2 from generate_series(1, 5000) n`;
});
afterAll(() => database.drop());
beforeEach(() => {
  sql = createClient(database.url, { max: 1 });
});
afterEach(() => sql.end({ timeout: 1 }));

type Rows = Record<string, unknown>[];
const plain = (rows: Iterable<object | undefined>): Rows => [...rows].map((row) => ({ ...row }));

/** Three more statements, each with its own answer: described first, prepared, and simple. */
async function expectOwnAnswers(requests: Promise<unknown>, on: postgres.ISql): Promise<void> {
  const [failure, ...answers] = await Promise.allSettled([
    requests,
    on`select n from numbers where n <= ${3} order by n`,
    on`select 7 as seven`,
    on.unsafe('select 8 as eight; select 9 as nine'),
    on`select 10 as ten`.values(),
  ]);
  expect(failure?.status).toBe('rejected');
  const values = answers.map((answer) => (answer.status === 'fulfilled' ? (answer.value as unknown) : answer.reason));
  expect(plain(values[0] as Rows)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
  expect(plain(values[1] as Rows)).toEqual([{ seven: 7 }]);
  expect((values[2] as Rows[]).map(plain)).toEqual([[{ eight: 8 }], [{ nine: 9 }]]);
  expect([...(values[3] as unknown[])]).toEqual([[10]]);
}

const dividing = (on: postgres.ISql) => on`select n, 10 / (4000 - n) as x from generate_series(1, 100000) n`;

/** Each is requests twice: the first time a statement is prepared, the second time it is not. */
const failures: [string, (on: postgres.ISql) => Promise<unknown>][] = [
  ['an error of execution', (on) => dividing(on)],
  ['an error of execution with parameters', (on) => on`select 10 / (${4000} - n) from generate_series(1, 100000) n`],
  ['an error of execution, simple', (on) => on.unsafe('select 1 as a; select 1 / (400 - n) from numbers')],
  ['a statement that does not parse', (on) => on`selec ${1}`],
  ['forEach', (on) => on`select 1 / (4000 - n) from numbers order by n`.forEach(() => {})],
  [
    'a callback of forEach that throws',
    (on) =>
      on`select n from numbers order by n`.forEach(({ n }) => {
        if (n === 3000) throw new Error('no more');
      }),
  ],
  ['raw rows', (on) => dividing(on).raw()],
  ['a cursor', (on) => dividing(on).cursor(70, () => {})],
  ['a cursor with parameters', (on) => on`select 1 / (${400} - n) from numbers`.cursor(70, () => {})],
  ['a cursor that does not parse', (on) => on`selec ${1}`.cursor(70, () => {})],
  [
    'a callback of a cursor that throws at once',
    (on) =>
      on`select n from numbers`.cursor(70, () => {
        throw new Error('no more');
      }),
  ],
  [
    'a callback of a cursor that rejects',
    (on) => on`select n from numbers`.cursor(70, (() => Promise.reject(new Error('no'))) as () => void),
  ],
  [
    'a callback of a cursor that throws for the last page',
    (on) =>
      on`select n from numbers limit 100`.cursor(70, (rows) => {
        if (rows.length === 30) throw new Error('no more');
      }),
  ],
  [
    'an iterated cursor',
    async (on) => {
      let seen = 0;
      for await (const rows of dividing(on).cursor(70)) seen += rows.length;
      return seen;
    },
  ],
  ['a description', (on) => on`select n from nowhere where n = ${1}`.describe()],
];

describe('after a failure in the middle of a result, every later statement gets its own answer:', () => {
  it.each(failures)('%s', async (_, fail) => {
    for (let round = 0; round < 2; round++) await expectOwnAnswers(fail(sql), sql);
    await sql.begin((tx) => fail(tx)).catch(() => {});
    expect(plain(await sql`select n from numbers where n = ${5}`)).toEqual([{ n: 5 }]);
  });

  it.each(['simple', 'extended', 'cursor'])('a parser of a type, %s', async (how) => {
    await sql.end();
    const parse = (text: string): number => {
      if (text === '40') throw new Error('cannot be read');
      return Number(text);
    };
    // the driver's own client: ours takes no further types
    sql = createClient(database.url, { max: 1 });
    Object.assign((sql.options as unknown as { parsers: object }).parsers, { 23: parse });
    const requests = () =>
      how === 'simple'
        ? sql.unsafe('select n from numbers order by n limit 2000')
        : how === 'extended'
          ? sql`select n from numbers order by n limit ${2000}`
          : sql`select n from numbers order by n limit ${2000}`.cursor(70, () => {});
    for (let round = 0; round < 3; round++) await expectOwnAnswers(requests(), sql);
  });

  it.each(['simple', 'extended', 'cursor'])('a statement timeout and a cancellation, %s', async (how) => {
    await sql`set statement_timeout = '150ms'`;
    const text = 'select n, pg_sleep(case n when 300 then 5 else 0 end) from generate_series(1, 100000) n';
    const requests = (): postgres.PendingQuery<postgres.Row[]> =>
      how === 'simple' ? sql.unsafe(text) : sql.unsafe(text, [], { prepare: true, simple: false } as object);
    const run = (query: postgres.PendingQuery<postgres.Row[]>): Promise<unknown> =>
      how === 'cursor' ? query.cursor(70, () => {}) : query;
    for (let round = 0; round < 2; round++) await expectOwnAnswers(run(requests()), sql);
    await sql`set statement_timeout = 0`;
    const query = requests();
    const running = run(query);
    // nothing stands behind the statement: a cancel request reaches the session, whatever runs there
    const cancelled = expect(running).rejects.toMatchObject({ code: '57014' });
    const [row] = await asAdministrator(
      (admin) =>
        admin<{ n: number }[]>`select count(*)::int as n from pg_stat_activity where query like 'select n, pg_sleep%'`,
    );
    expect(row).toBeDefined();
    await delay(50);
    query.cancel();
    await cancelled;
    await expectOwnAnswers(dividing(sql), sql);
  });
});

describe('a cancelled statement', () => {
  it('takes no answer of another one, wherever it stands', async () => {
    const sleeping = sql`select pg_sleep(0.2)`;
    const [first, ...queries] = [
      sleeping,
      ...Array.from({ length: 6 }, (_, n) => sql`select ${n}::int as n, pg_sleep(0.05)`),
    ];
    const answers = queries.map((query) =>
      query.then(
        ([row]) => (row as { n: number }).n,
        (error: { code: string }) => error.code,
      ),
    );
    await Promise.resolve(first?.execute());
    await delay(20);
    queries[2]?.cancel();
    queries[5]?.cancel();
    const seen = await Promise.all(answers);
    // a cancel request reaches a session, not a statement: it may stop another one, which says so
    seen.forEach((answer, n) => expect([n, '57014']).toContain(answer));
    expect(plain(await sql`select 1 as one`)).toEqual([{ one: 1 }]);
  });

  it('leaves the connection usable when it was cancelled before it was sent', async () => {
    const early = sql`select 1`;
    const refused = expect(early).rejects.toMatchObject({ code: '57014' });
    early.cancel();
    await refused;
    await sql`select 1`;
    const again = sql`select 1`;
    const refusedToo = expect(again).rejects.toMatchObject({ code: '57014' });
    again.cancel();
    await refusedToo;
    expect(plain(await sql`select 2 as two`)).toEqual([{ two: 2 }]);
    const inside = sql.begin(async (tx) => {
      const many = Array.from({ length: 150 }, (_, n) => tx`select ${n}::int`);
      const settled = Promise.allSettled(many);
      await delay(0);
      many[149]?.cancel();
      await settled;
    });
    await expect(inside).rejects.toMatchObject({ code: '57014' });
    expect(plain(await sql`select 3 as three`)).toEqual([{ three: 3 }]);
  });
});

describe('a prepared statement that the driver prepares again', () => {
  it('writes its parameters once more as they were', async () => {
    await sql`create table if not exists kinds (b bytea, list bytea[], flag boolean, doc json, at timestamptz)`;
    await sql`truncate kinds`;
    const bytes = Buffer.from([0, 1, 92, 120, 255]);
    const at = Date.UTC(2026, 0, 31);
    const insert = () =>
      sql<
        { b: Buffer }[]
      >`insert into kinds values (${bytes}, ${sql.array([bytes, bytes])}, ${true}, ${'{"a":1}'}, ${at}) returning *`;
    const [first] = await insert();
    for (const change of ['add column more int', 'drop column more']) {
      await database.sql.unsafe(`alter table kinds ${change}`);
      const [[again], [seven]] = await Promise.all([insert(), sql`select 7 as seven`]);
      expect({ ...again, more: undefined }).toEqual({ ...first, more: undefined });
      expect(again?.b).toEqual(bytes);
      expect(seven).toEqual({ seven: 7 });
    }
    expect(plain(await sql`select distinct b, list, flag, doc::text, at from kinds`)).toEqual([
      { b: bytes, list: [bytes, bytes], flag: true, doc: '{"a":1}', at },
    ]);
  });

  it('stands in nobody’s way: statements that follow get their own answers', async () => {
    await sql`create table if not exists shape (n int)`;
    const read = (n: number) => sql`select *, ${n}::int as requests from shape right join (select 1) x on true limit 1`;
    await read(0);
    for (let round = 0; round < 20; round++) {
      await database.sql.unsafe(
        round % 2 === 0 ? 'alter table shape add column more int' : 'alter table shape drop column more',
      );
      const answers = Array.from({ length: 30 }, async (_, n) => {
        // some of them are sent while the statement is described again
        if (n > 10) await delay(n % 5);
        const rows = n % 3 === 0 ? await read(n) : await sql`select ${n}::int as requests`;
        return (rows[0] as { requests: number } | undefined)?.requests;
      });
      expect(await Promise.all(answers)).toEqual(Array.from({ length: 30 }, (_, n) => n));
    }
  });
});

describe('COPY', () => {
  beforeEach(async () => {
    await sql`create table if not exists copied (n int primary key)`;
    await sql`truncate copied`;
  });
  const copyIn = async (lines: Iterable<string>): Promise<void> =>
    pipeline(Readable.from(lines), await sql`copy copied from stdin`.writable());

  it('fails with the error of the server, wherever it comes, and gives the next statement its answer', async () => {
    await expect(copyIn(['1\n', 'x\n', '2\n'])).rejects.toMatchObject({ code: '22P02' });
    // found at the end, when all data was sent
    await sql`alter table copied add constraint late unique (n) deferrable initially deferred`;
    await sql`alter table copied drop constraint copied_pkey`;
    await expect(copyIn(['1\n', '1\n'])).rejects.toMatchObject({ code: '23505' });
    expect(plain(await sql`select count(*)::int as n from copied`)).toEqual([{ n: 0 }]);
    await copyIn(['1\n', '2\n']);
    expect(plain(await sql`select n from copied order by n`)).toEqual([{ n: 1 }, { n: 2 }]);
    await sql`alter table copied drop constraint late, add primary key (n)`;
  });

  it('leaves the connection readable after a slow reader, and after one that went', async () => {
    let bytes = 0;
    const slow = new Writable({
      highWaterMark: 1,
      write(chunk: Buffer, _, done) {
        bytes += chunk.length;
        setImmediate(done);
      },
    });
    await pipeline(await sql`copy numbers to stdout`.readable(), slow);
    expect(bytes).toBeGreaterThan(20_000);
    expect(plain(await sql`select 1 as one`)).toEqual([{ one: 1 }]);
    const left = await sql`copy (select repeat('x', 1000) from generate_series(1, 20000)) to stdout`.readable();
    await new Promise((resolve) => left.once('data', resolve));
    left.destroy();
    expect(plain(await sql`select 2 as two`)).toEqual([{ two: 2 }]);
    await expect(async () => {
      for await (const chunk of await sql`copy (select 1 / (4000 - n) from numbers) to stdout`.readable())
        bytes += (chunk as Buffer).length;
    }).rejects.toMatchObject({ code: '22012' });
    expect(plain(await sql`select 3 as three`)).toEqual([{ three: 3 }]);
  });

  it('lets others on the same pool wait', async () => {
    const writable = await sql`copy copied from stdin`.writable();
    const requests = sql`select 1 as one`.then(plain);
    writable.end('5\n');
    expect(await requests).toEqual([{ one: 1 }]);
    await until('the row is there', async () => (await sql`select from copied where n = 5`).length === 1);
  });
});
