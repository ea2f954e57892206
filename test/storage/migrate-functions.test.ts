/** How the migrator applies the files of migrations/functions. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { StartupError } from '../../src/startup-error.ts';
import { openServer } from '../../src/storage/database.ts';
import { migrationLock } from '../../src/storage/locks.ts';
import { migrate, migrationsPending } from '../../src/storage/migrate.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';

const table = readFileSync(fileURLToPath(new URL('../../migrations/0031_functions.sql', import.meta.url)), 'utf8');
const answering = (value: number): string =>
  `-- Returns a number.\ncreate or replace function f() returns integer language sql as $$ select ${value} $$;\n`;

let database: TestDatabase;
/** Two releases, each with a folder of migrations. */
let release: string;
let later: string;

beforeEach(async () => {
  database = await createTestDatabase({ empty: true });
  [release, later] = [1, 2].map(() => {
    const folder = mkdtempSync(join(tmpdir(), 'parley-migrations-'));
    mkdirSync(join(folder, 'functions'));
    write(folder, {
      '0001_first.sql': 'create table a (id int);',
      '0002_functions.sql': table,
      'functions/f.sql': answering(1),
    });
    return folder;
  }) as [string, string];
});
afterEach(async () => {
  await database.drop();
  for (const folder of [release, later]) rmSync(folder, { recursive: true });
});

function write(folder: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}

async function answer(): Promise<unknown> {
  const [row] = await database.sql<{ f: number }[]>`select f()`;
  return row?.f;
}

async function applied(): Promise<readonly unknown[]> {
  return database.sql`select name, checksum, applied_at from schema_functions order by name`;
}

it('applies a function file that differs, once', async () => {
  expect(await migrationsPending(database.sql, release)).toEqual(['0001_first', '0002_functions', 'functions/f']);
  expect(await migrate(database.sql, release)).toEqual(['0001_first', '0002_functions', 'functions/f']);
  expect(await answer()).toBe(1);
  expect(await migrationsPending(database.sql, release)).toEqual([]);
  const before = await applied();
  expect(await migrate(database.sql, release)).toEqual([]);
  expect(await applied()).toEqual(before);

  write(release, { 'functions/f.sql': answering(2), 'functions/g.sql': answering(3).replace('f()', 'g()') });
  expect(await migrationsPending(database.sql, release)).toEqual(['functions/f', 'functions/g']);
  expect(await migrate(database.sql, release)).toEqual(['functions/f', 'functions/g']);
  expect(await answer()).toBe(2);
  // each byte counts, also of a comment
  write(release, { 'functions/f.sql': answering(2).replace('a number', 'the number') });
  expect(await migrate(database.sql, release)).toEqual(['functions/f']);
  expect(await migrate(database.sql, release)).toEqual([]);
});

it('makes functions that call each other, whatever the order of their names', async () => {
  write(release, {
    'functions/e.sql': 'create or replace function e() returns integer language sql as $$ select f() + g() $$;',
    'functions/g.sql': 'create or replace function g() returns integer language sql as $$ select f() $$;',
  });
  expect(await migrate(database.sql, release)).toEqual([
    '0001_first',
    '0002_functions',
    'functions/e',
    'functions/f',
    'functions/g',
  ]);
  expect(await database.sql`select e() as answer`).toEqual([{ answer: 2 }]);
});

it('undoes all function files and the last numbered file when one function file fails', async () => {
  await migrate(database.sql, release);
  write(release, {
    '0003_third.sql': '-- Runs beside: 0002\ncreate table c ()',
    'functions/f.sql': answering(2),
    'functions/g.sql':
      '-- Calls nothing.\ncreate or replace function g() returns integer language sql as $$\n  select nothing() $$;',
  });
  const error: unknown = await migrate(database.sql, release).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(StartupError);
  expect(String(error)).toContain('The function g could not be applied');
  expect(String(error)).toContain('function nothing() does not exist');
  expect(await answer()).toBe(1);
  expect(await database.sql`select to_regclass('c') as made, to_regproc('g') as g`).toEqual([{ made: null, g: null }]);
  expect(await migrationsPending(database.sql, release)).toEqual(['0003_third', 'functions/f', 'functions/g']);
  write(release, { 'functions/g.sql': answering(3).replace('f()', 'g()') });
  expect(await migrate(database.sql, release)).toEqual(['0003_third', 'functions/f', 'functions/g']);
  expect(await answer()).toBe(2);
});

it('names the line of a function file that Postgres cannot read', async () => {
  write(release, { 'functions/f.sql': '-- Returns a number.\n\ncreate or replace funktion f()' });
  await expect(migrate(database.sql, release)).rejects.toThrow('The function f could not be applied (line 3)');
  write(release, { 'functions/F.sql': '' });
  await expect(migrate(database.sql, release)).rejects.toThrow(
    'The function file F.sql is not named like its function',
  );
});

it('is safe with twenty at once', async () => {
  await migrate(database.sql, release);
  write(release, {
    'functions/f.sql': `select pg_sleep(0.1);\n${answering(2)}`,
    'functions/g.sql': answering(3).replace('f()', 'g()'),
  });
  const clients = await Promise.all(
    Array.from({ length: 20 }, () => openServer({ url: database.url, poolSize: 1, statementTimeoutMs: 2000 })),
  );
  const done = await Promise.all(clients.map((client) => migrate(client.sql, release)));
  await Promise.all(clients.map((client) => client.close()));
  expect(done.flat().toSorted()).toEqual(['functions/f', 'functions/g']);
  expect(await answer()).toBe(2);
});

it('leaves the functions of a later release as they are, and takes them up again from there', async () => {
  await migrate(database.sql, release);
  write(later, {
    '0003_later.sql': '-- The function f answers 2.\n-- Runs beside: 0002\n',
    'functions/f.sql': answering(2),
  });
  expect(await migrate(database.sql, later)).toEqual(['0003_later', 'functions/f']);
  const before = await applied();
  // a node of the earlier release that starts again, in a rolling upgrade or after it was rolled back
  expect(await migrationsPending(database.sql, release)).toEqual([]);
  expect(await migrate(database.sql, release)).toEqual([]);
  expect(await answer()).toBe(2);
  expect(await applied()).toEqual(before);
  // a release that comes after both, with the first body again
  write(later, { '0004_again.sql': '-- Runs beside: 0002\n', 'functions/f.sql': answering(1) });
  expect(await migrate(database.sql, later)).toEqual(['0004_again', 'functions/f']);
  expect(await answer()).toBe(1);
});

it('checks again behind the lock, because a later release may have migrated meanwhile', async () => {
  await migrate(database.sql, release);
  write(release, { 'functions/f.sql': answering(3) });
  const node = await openServer({ url: database.url, poolSize: 1 });
  let earlier: Promise<string[]> = Promise.resolve([]);
  await database.sql.begin(async (tx) => {
    await tx`select pg_advisory_xact_lock(${migrationLock[0]}, ${migrationLock[1]})`;
    earlier = migrate(node.sql, release);
    await until('the node of the earlier release waits for the lock', async () => {
      const waiting = await tx`
        select from pg_locks l join pg_database d on d.oid = l.database
        where l.locktype = 'advisory' and not l.granted and d.datname = current_database()`;
      return waiting.length === 1;
    });
    await tx.unsafe(answering(2));
    await tx`insert into schema_migrations (number, name, checksum, runs_beside) values (3, '0003_later', '', 2)`;
  });
  expect(await earlier).toEqual([]);
  expect(await answer()).toBe(2);
  await node.close();
});

it('applies a file again whose function was dropped in between', async () => {
  write(release, { 'functions/g.sql': answering(3).replace('f()', 'g()') });
  await migrate(database.sql, release);
  rmSync(join(release, 'functions/f.sql'));
  write(release, { '0003_dropped.sql': '-- Runs beside: 0003\ndrop function f()' });
  expect(await migrate(database.sql, release)).toEqual(['0003_dropped']);
  write(release, { 'functions/f.sql': answering(1) });
  expect(await migrate(database.sql, release)).toEqual(['functions/f']);
  expect(await answer()).toBe(1);
});

it('writes nothing where no function file differs, and needs the right to write where one does', async () => {
  await migrate(database.sql, release);
  const readOnly = await openServer({ url: `${database.url}?default_transaction_read_only=on`, poolSize: 1 });
  expect(await migrate(readOnly.sql, release)).toEqual([]);
  write(release, { 'functions/f.sql': answering(2) });
  await expect(migrate(readOnly.sql, release)).rejects.toMatchObject({ code: '25006' });
  await readOnly.close();
});
