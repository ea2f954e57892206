import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openEmbedded } from '../../src/storage/database.ts';
import type { Database } from '../../src/storage/database.ts';
import { startEmbeddedPostgres } from '../../src/storage/embedded/bridge.ts';
import { maintain } from '../../src/storage/embedded/maintenance.ts';
import { migrate, migrationsPending } from '../../src/storage/migrate.ts';

let dataDir: string;
beforeAll(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'parley-embedded-'));
});
afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

const onFatal = (error: Error): never => {
  throw error;
};

const publish = (on: postgres.ISql): Promise<{ seq: number }[]> =>
  on`select parley.publish('paid', gen_random_uuid(), 'shop', '{"text":"paid"}') as seq`;

describe('the embedded database', () => {
  let database: Database;
  beforeAll(async () => {
    database = await openEmbedded({ dataDir, onFatal });
  });
  afterAll(() => database.close());

  it('is created in a folder of its own, without leftovers', () => {
    expect(readdirSync(dataDir)).toEqual(['postgres']);
  });

  it('takes all migrations, twice without harm', async () => {
    expect((await migrate(database.sql)).length).toBeGreaterThan(0);
    expect(await migrate(database.sql)).toEqual([]);
    expect(await migrationsPending(database.sql)).toEqual([]);
  });

  it('notifies of a message of parley.publish at the commit, and not after a rollback', async () => {
    const { sql, notifications } = database;
    let received = 0;
    const subscription = notifications.subscribe('parley_outbox', () => received++);
    await subscription.renew();
    await sql`select create_room('paid', 'group', 'paid', 'ann', null, 100)`;
    const undone = sql.begin(async (tx) => {
      await publish(tx);
      throw new Error('no');
    });
    await expect(undone).rejects.toThrow('no');
    expect(await publish(sql)).toEqual([{ seq: 1 }]);
    expect(received).toBe(1);
    await subscription.end();
    await publish(sql);
    expect(received).toBe(1);
  });

  it('gives values the same shapes as a server', async () => {
    const [row] = await database.sql`
      select 9007199254740991::int8 as big, '{"a": [1, null]}'::jsonb as b, ${'{"x": 1}'}::jsonb as own,
        '2026-01-31 23:59:59.123987+02'::timestamptz as at, ${[1, 2]}::int8[] as many`;
    expect(row).toEqual({
      big: Number.MAX_SAFE_INTEGER,
      b: '{"a": [1, null]}',
      own: '{"x": 1}',
      at: Date.UTC(2026, 0, 31, 21, 59, 59, 123),
      many: [1, 2],
    });
  });

  it('gives each of many concurrent queries its own answer, errors too', async () => {
    const { sql } = database;
    const results = await Promise.allSettled(
      Array.from({ length: 600 }, (_, i) => {
        if (i % 7 === 0) return sql`select ${i}::int / 0 as value`;
        if (i % 5 === 0) return sql.unsafe('select $1::int as value', [i]);
        if (i % 3 === 0) return sql.begin((tx) => tx`select ${i}::int as value`);
        return sql`select ${i}::int as value, repeat('x', ${i * 20}::int) as filler`;
      }),
    );
    for (const [i, result] of results.entries()) {
      if (i % 7 === 0) expect(result).toMatchObject({ status: 'rejected', reason: { code: '22012' } });
      else expect(result).toMatchObject({ status: 'fulfilled', value: [{ value: i }] });
    }
  });

  it('carries messages of many megabytes both ways', async () => {
    const text = 'é'.repeat(4_000_000);
    const [row] = await database.sql<
      { text: string; hash: string }[]
    >`select ${text}::text as text, md5(${text}) as hash`;
    expect(row?.text === text).toBe(true);
  });

  it('reclaims deleted rows and cuts the log, as a server does by itself', async () => {
    const { sql } = database;
    await sql`create table churn (id int, filler text)`;
    const walBytes = () => sql<{ bytes: number }[]>`select sum(size)::int8 as bytes from pg_ls_waldir()`;
    for (let round = 0; round < 8; round++) {
      await sql`insert into churn select g, repeat('x', 400) from generate_series(1, 30000) g`;
      await sql`delete from churn`;
      await maintain(sql);
    }
    const [size] = await sql<{ bytes: number }[]>`select pg_table_size('churn')::int8 as bytes`;
    // Eight rounds of 13 MB of rows and 17 MB of log; counts of dead rows come to the statistics a second late.
    expect(size?.bytes).toBeLessThan(70_000_000);
    expect((await walBytes())[0]?.bytes).toBeLessThan(130_000_000);
  });
});

describe('several clients on the one session', () => {
  it('get their own answers, and a transaction has the session to itself', { timeout: 60_000 }, async () => {
    const path = join(dataDir, 'postgres');
    const embedded = await startEmbeddedPostgres({ path, onFatal });
    const connect = () =>
      postgres('postgres://postgres@embedded/postgres', { socket: embedded.connect, max: 4 } as object);
    const [one, two] = [connect(), connect()];
    await one.unsafe('create table counter (n int); insert into counter values (0)');
    const work = Array.from({ length: 400 }, async (_, i) => {
      const sql = i % 2 === 0 ? one : two;
      if (i % 4 === 0) {
        // Lost updates would show if two transactions were ever mixed.
        return sql.begin(async (tx) => {
          const [row] = await tx<{ n: number }[]>`select n from counter`;
          await tx`update counter set n = ${(row?.n ?? 0) + 1}`;
          return [{ value: i }];
        });
      }
      if (i % 3 === 0) return sql.unsafe('select $1::int as value', [i]);
      return sql`select ${i}::int as value`;
    });
    for (const [i, rows] of (await Promise.all(work)).entries()) expect(rows[0]?.['value']).toBe(i);
    expect(await two`select n from counter`).toEqual([{ n: 100 }]);

    // A client that goes in the middle of a transaction leaves the session free and nothing written.
    const quitter = connect();
    const failed = quitter.begin(async (tx) => {
      await tx`update counter set n = -1`;
      await quitter.end({ timeout: 0 });
    });
    await expect(failed).rejects.toThrow();
    expect(await one`select n from counter`).toEqual([{ n: 100 }]);
    await one`drop table counter`;
    await Promise.all([one.end(), two.end()]);
    await embedded.close();
  });
});

describe('when things end', () => {
  it('a damaged folder is refused in one line', async () => {
    const damaged = mkdtempSync(join(tmpdir(), 'parley-damaged-'));
    mkdirSync(join(damaged, 'postgres'));
    writeFileSync(join(damaged, 'postgres', 'PG_VERSION'), '18\n');
    await expect(openEmbedded({ dataDir: damaged, onFatal })).rejects.toThrow(
      /^The embedded database in .* cannot be opened/,
    );
    rmSync(damaged, { recursive: true });
  });

  it('a fault of the worker rejects running and later queries, and is reported once', async () => {
    const fatal = vi.fn();
    const database = await openEmbedded({ dataDir, onFatal: fatal });
    const { sql } = database;
    await sql`select 1`;
    // Nested so deep that even the stack for Postgres' own error is too small.
    const running = sql`select ${'['.repeat(500_000)}::jsonb`;
    const results = await Promise.allSettled([running, sql`select 2`]);
    results.push(
      ...(await Promise.allSettled([sql.begin((tx) => tx`select 3`)])),
      ...(await Promise.allSettled([sql`select 4`])),
    );
    expect(results.map((result) => result.status)).toEqual(results.map(() => 'rejected'));
    await vi.waitFor(() => expect(fatal).toHaveBeenCalled(), 10_000);
    expect(fatal.mock.calls).toMatchObject([
      [{ message: expect.stringContaining('Maximum call stack size') as string }],
    ]);
    await database.close();
    expect(fatal).toHaveBeenCalledOnce();
    const again = await openEmbedded({ dataDir, onFatal });
    expect(await again.sql`select 1 as one`).toEqual([{ one: 1 }]);
    await again.close();
  });

  it('JSON that is nested too deep is an error of its query alone', async () => {
    const database = await openEmbedded({ dataDir, onFatal });
    const { sql } = database;
    await expect(sql`select ${'['.repeat(50_000) + ']'.repeat(50_000)}::jsonb`).rejects.toMatchObject({
      code: '54001',
    });
    expect(await sql`select 1 as one`).toEqual([{ one: 1 }]);
    await database.close();
  });

  it('a killed process has lost nothing that was acknowledged', { timeout: 120_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'parley-killed-'));
    for (let round = 0, known = 0; round < 3; round++) {
      known = await writeUntilKilled(folder, known);
      const database = await openEmbedded({ dataDir: folder, onFatal });
      const [row] = await database.sql<{ count: number; last: number }[]>`select count(*), max(id) as last from acked`;
      expect(row?.last).toBeGreaterThanOrEqual(known);
      expect(row?.count).toBe(row?.last);
      known = row?.last ?? 0;
      await database.close();
    }
    rmSync(folder, { recursive: true });
  });
});

/** Kills a process in the middle of its writing, and returns the last row that it said was stored. */
async function writeUntilKilled(folder: string, from: number): Promise<number> {
  const script = `
    import { openEmbedded } from ${JSON.stringify(new URL('../../src/storage/database.ts', import.meta.url).href)};
    const open = openEmbedded({ dataDir: process.argv[1], onFatal: (error) => { throw error } });
    open.then(async ({ sql }) => {
      await sql\`create table if not exists acked (id int primary key, filler text)\`;
      for (let id = ${from} + 1; ; id++) {
        await sql\`insert into acked values (\${id}, repeat('x', 1000))\`;
        console.log(id);
      }
    });`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let last = from;
  for await (const line of createInterface(child.stdout)) {
    last = Number(line);
    if (last === from + 700) child.kill('SIGKILL');
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return last;
}
