import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import type postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { openServer } from '../../src/storage/database.ts';
import { StartupError } from '../../src/startup-error.ts';
import { asAdministrator, createTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

describe('a Postgres server', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());

  it('reads int8 as numbers, json as text, timestamptz as milliseconds', async () => {
    const [row] = await database.sql`
      select 9007199254740991::int8 as big, '{"a": [1, null]}'::jsonb as b, '{"x":1e400}'::json as j,
        '2026-01-31 23:59:59.123987+02'::timestamptz as at, '1969-12-31T23:59:59Z'::timestamptz as early,
        array[1, 2]::int8[] as many, null::jsonb as nothing`;
    expect(row).toEqual({
      big: Number.MAX_SAFE_INTEGER,
      b: '{"a": [1, null]}',
      j: '{"x":1e400}',
      at: Date.UTC(2026, 0, 31, 21, 59, 59, 123),
      early: -1000,
      many: [1, 2],
      nothing: null,
    });
  });

  it('reads every fraction of a second that Postgres prints', async () => {
    for (const [fraction, ms] of [
      ['', 0],
      ['.1', 100],
      ['.12', 120],
      ['.123', 123],
      ['.1239', 123],
      ['.000001', 0],
    ] as const) {
      const text = `2026-03-04 05:06:07${fraction}+00`;
      const [row] = await database.sql<{ at: number }[]>`select ${text}::text::timestamptz as at`;
      expect(row?.at).toBe(Date.UTC(2026, 2, 4, 5, 6, 7, ms));
    }
  });

  it('writes JSON text and milliseconds, alone and in arrays, and gives them back', async () => {
    const body = '{"text": "a \\"quoted\\" {brace}, \\\\ and é"}';
    const rows = await database.sql`
      select ${body}::jsonb as alone, t.body, t.at, ${1_700_000_000_123}::timestamptz as at_alone
      from unnest(${[body, null]}::jsonb[], ${[1_700_000_000_123, 0]}::timestamptz[]) as t (body, at)`;
    expect(rows[0]).toEqual({ alone: body, body, at: 1_700_000_000_123, at_alone: 1_700_000_000_123 });
    expect(rows[1]).toMatchObject({ body: null, at: 0 });
  });

  it('refuses an object where JSON text belongs', async () => {
    await expect(database.sql`select ${{ a: 1 } as never}::jsonb`).rejects.toThrow('stringify first');
    await expect(database.sql`select 1 as still`).resolves.toHaveLength(1);
  });

  it('works in UTC, with a name and a statement timeout, which the URL may set', async () => {
    expect(await settings(database.sql)).toEqual([{ zone: 'UTC', name: 'parley', timeout: '15s' }]);
    const patient = await openServer({ url: `${database.url}?statement_timeout=60000`, poolSize: 1 });
    expect(await settings(patient.sql)).toMatchObject([{ timeout: '1min' }]);
    await patient.close();
  });

  it('ends a statement that takes too long', async () => {
    const hasty = await openServer({ url: database.url, poolSize: 1, statementTimeoutMs: 50 });
    await expect(hasty.sql`select pg_sleep(5)`).rejects.toMatchObject({ code: '57014' });
    await hasty.close();
  });

  it('answers again after every connection was cut', async () => {
    const other = await openServer({ url: database.url, poolSize: 2 });
    await asAdministrator(
      (sql) => sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${databaseOf(database.url)}`,
    );
    await expect
      .poll(() => other.sql`select 1 as one`.catch(() => undefined), { timeout: 5000 })
      .toMatchObject([{ one: 1 }]);
    await other.close();
  });
});

describe('openServer refuses in one line, without the password,', () => {
  it('what is no URL', async () => {
    expect(await refusal('hunter2')).toMatch('DATABASE_URL is not a URL');
    expect(await refusal('mysql://u:hunter2@localhost/x')).toMatch('must begin with postgres://');
  });

  it('a port where nobody listens', async () => {
    expect(await refusal('postgres://u:hunter2@127.0.0.1:1/x')).toMatch(/^Postgres at 127\.0\.0\.1:1 .*ECONNREFUSED$/);
  });

  it('a host that does not exist', async () => {
    expect(await refusal('postgres://u:hunter2@host.invalid/x')).toMatch(
      /^Postgres at host\.invalid:5432 cannot be reached/,
    );
  });

  it('a server that does not speak', async () => {
    const silent = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    expect(await refusal(`postgres://u:hunter2@127.0.0.1:${port}/x`, 1)).toMatch('no answer in time');
    await new Promise((resolve) => silent.close(resolve));
  });

  it('a wrong password', async () => {
    expect(await refusal(variant((url) => (url.password = 'hunter2')))).toMatch(
      /refuses the user "postgres": password/,
    );
  });

  it('a database that does not exist', async () => {
    expect(await refusal(variant((url) => (url.pathname = '/absent')))).toMatch('has no database "absent"');
  });
});

function databaseOf(url: string): string {
  return new URL(url).pathname.slice(1);
}

function settings(sql: TestDatabase['sql']): Promise<postgres.Row[]> {
  return sql`
    select current_setting('TimeZone') as zone, current_setting('application_name') as name,
      current_setting('statement_timeout') as timeout`;
}

async function refusal(url: string, connectTimeoutSeconds = 3): Promise<string> {
  const error: unknown = await openServer({ url, poolSize: 1, connectTimeoutSeconds }).catch(
    (reason: unknown) => reason,
  );
  if (!(error instanceof StartupError)) throw new Error('no StartupError', { cause: error });
  expect(error.message).not.toContain('\n');
  expect(error.message).not.toContain('hunter2');
  return error.message;
}

function variant(change: (url: URL) => void): string {
  const url = new URL(inject('postgresUrl'));
  change(url);
  return url.href;
}
