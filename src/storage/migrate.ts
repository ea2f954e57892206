import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { postgres } from './sql.ts';
import { StartupError } from '../startup-error.ts';
import {
  applyFunctions,
  functionsPending,
  lineOf,
  nameOf,
  readFunctions,
  type FunctionFile,
} from './function-files.ts';
import { migrationLock } from './locks.ts';

/** `migrations/` at the top, two folders up from here in src/ and in dist/. */
const defaultFolder = fileURLToPath(new URL('../../migrations/', import.meta.url));

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly text: string;
  readonly checksum: string;
  /** The oldest version, by its last migration, that may go on running beside it; see docs/database.md. */
  readonly runsBeside: number | undefined;
}

/** All files of a folder of migrations. */
export interface SchemaFiles {
  readonly migrations: readonly Migration[];
  readonly functions: readonly FunctionFile[];
}

interface Applied {
  readonly number: number;
  readonly name: string;
  readonly checksum: string;
  readonly runs_beside: number | null;
}

/**
 * Files that were edited after a database may have applied them, by the checksums of their earlier forms. Such a database is
 * accepted once, and its row gets the checksum of the file. `remake`: the functions of the file are made again, because no
 * later file replaces them. Never add to this list: `migrations/CHECKSUMS` keeps released files as they are
 * (test/storage/released.test.ts).
 */
const earlierForms: ReadonlyMap<string, { readonly name: string; readonly remake: boolean }> = new Map([
  ['d1ac590af2ee7aab5ca2491c74ffedae379164a42ceeb2819998f3adb7c0807c', { name: '0011_expired', remake: true }],
  // This form has fewer letters. 0028 replaces the function, so both forms lead to one schema.
  ['861e35df0c7352e637fc1eaacc2992bfab4b27ed5fc431fccc622e1569cf46d8', { name: '0014_text', remake: false }],
]);

/**
 * Applies the missing files, and returns their names. Each numbered file is applied in order in its own transaction. The
 * function files that differ are applied in the transaction of the last number. So a database with the last number has its
 * functions too. Any number of processes may do so at once: each transaction waits for the one before and
 * checks again. If no file is missing, the function writes nothing.
 *
 * A database that is newer than the files, and may be, keeps its functions: they are those of a later release.
 *
 * Throws a StartupError when a file fails, which undoes its transaction. The function also throws when a numbered file was
 * edited after it had been applied, and when the database is too new for the files.
 */
export async function migrate(sql: postgres.Sql, folder: string = defaultFolder): Promise<string[]> {
  const { migrations: files, functions } = readSchema(folder);
  if (await isCurrent(sql, files, functions)) return [];
  await sql.begin(async (tx) => {
    await lock(tx);
    await tx`
      create table if not exists schema_migrations (
        number int primary key,
        name text not null,
        checksum text not null,
        applied_at timestamptz not null default now()
      )`;
    await tx`alter table schema_migrations add column if not exists runs_beside int`;
    await takeEarlierForms(tx, files);
    compare(files, await readApplied(tx));
  });
  const applied: string[] = [];
  for (const file of files) {
    const done = await sql.begin(async (tx) => {
      await lock(tx);
      const before = await readApplied(tx);
      compare(files, before);
      const missing = !before.some((row) => row.number === file.number);
      if (missing) await apply(tx, file);
      const last = file === files.at(-1) && !isNewer(before, files);
      return [...(missing ? [file.name] : []), ...(last ? await applyFunctions(tx, functions) : [])];
    });
    applied.push(...done);
  }
  return applied;
}

/** The names of the files that the database lacks. Throws as `migrate` does when the database has others. */
export async function migrationsPending(
  sql: postgres.Sql,
  from: string | SchemaFiles = defaultFolder,
): Promise<string[]> {
  const { migrations: files, functions } = typeof from === 'string' ? readSchema(from) : from;
  const [table] = await sql<{ exists: boolean }[]>`select to_regclass('schema_migrations') is not null as exists`;
  const applied = table?.exists === true ? await readApplied(sql) : [];
  compare(files, applied);
  const missing = files.filter((file) => !applied.some((row) => row.number === file.number)).map((file) => file.name);
  return isNewer(applied, files) ? missing : [...missing, ...(await functionsPending(sql, functions)).map(nameOf)];
}

async function isCurrent(
  sql: postgres.Sql,
  files: readonly Migration[],
  functions: readonly FunctionFile[],
): Promise<boolean> {
  const [column] = await sql`
    select from pg_attribute
    where attrelid = to_regclass('schema_migrations') and attname = 'runs_beside' and not attisdropped`;
  if (column === undefined) return false;
  const applied = await readApplied(sql);
  if (applied.some(({ checksum }) => earlierForms.has(checksum))) return false;
  compare(files, applied);
  if (!files.every((file) => applied.some((row) => row.number === file.number))) return false;
  return isNewer(applied, files) || (await functionsPending(sql, functions)).length === 0;
}

/** Whether a later release has been at the database. Numbers put releases in order, which checksums of functions do not. */
function isNewer(applied: readonly Applied[], files: readonly Migration[]): boolean {
  return (applied.at(-1)?.number ?? 0) > (files.at(-1)?.number ?? 0);
}

async function takeEarlierForms(tx: postgres.TransactionSql, files: readonly Migration[]): Promise<void> {
  for (const row of await readApplied(tx)) {
    const file = files.find(({ number }) => number === row.number);
    const form = earlierForms.get(row.checksum);
    if (file === undefined || form?.name !== file.name) continue;
    for (const [statement] of !form.remake ? [] : file.text.matchAll(/^create or replace function[\s\S]*?^end \$\$;/gm))
      await tx.unsafe(statement);
    await tx`update schema_migrations set checksum = ${file.checksum} where number = ${file.number}`;
  }
}

async function lock(tx: postgres.TransactionSql): Promise<void> {
  // Both the wait and an index over a large table may take longer than a statement of the running server may.
  await tx`set local statement_timeout = 0`;
  await tx`select pg_advisory_xact_lock(${migrationLock[0]}, ${migrationLock[1]})`;
  // For a role with the name `parley`, the schema `parley` comes before the schema of the tables in the default search path.
  await tx`
    select set_config('search_path', quote_ident(n.nspname) || ', ' || current_setting('search_path'), true)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass('schema_migrations')`;
}

async function apply(tx: postgres.TransactionSql, file: Migration): Promise<void> {
  try {
    await tx.unsafe(file.text);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new StartupError(`Migration ${file.name} failed${lineOf(error, file.text)}: ${error.message}`, {
      cause: error,
    });
  }
  await tx`
    insert into schema_migrations (number, name, checksum, runs_beside)
    values (${file.number}, ${file.name}, ${file.checksum}, ${file.runsBeside ?? null})`;
}

/** `runs_beside` by way of JSON: a database of an older version has no such column. */
function readApplied(sql: postgres.ISql): Promise<Applied[]> {
  return sql<Applied[]>`
    select number, name, checksum, (to_jsonb(m) ->> 'runs_beside')::int as runs_beside
    from schema_migrations m order by number`;
}

/** An applied migration must be among the files, unchanged and without a hole before it; or it is newer and compatible. */
function compare(files: readonly Migration[], applied: readonly Applied[]): void {
  const last = files.at(-1);
  for (const [index, row] of applied.entries()) {
    const file = files[index];
    if (file === undefined) {
      if (last !== undefined && row.number > last.number && last.number >= (row.runs_beside ?? Infinity)) continue;
      const from = row.runs_beside === null ? '' : `; versions from migration ${padded(row.runs_beside)} on may run`;
      throw new StartupError(
        `The database is newer than this Parley: it has ${row.name}, this one ends with ${last?.name ?? 'none'}${from}`,
      );
    }
    if (file.number !== row.number) {
      throw new StartupError(`The database has the migration ${row.name} where this Parley has ${file.name}`);
    }
    if (file.checksum !== row.checksum && earlierForms.get(row.checksum)?.name !== file.name) {
      throw new StartupError(`The migration ${file.name} was edited after it had been applied; add a new one instead`);
    }
  }
}

const padded = (number: number): string => String(number).padStart(4, '0');

/** @throws {StartupError} */
export function readSchema(folder: string = defaultFolder): SchemaFiles {
  return { migrations: readMigrations(folder), functions: readFunctions(folder) };
}

/** @throws {StartupError} */
export function readMigrations(folder: string = defaultFolder): Migration[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.sql'));
  const migrations = names.map((name): Migration => {
    const number = /^(\d{4})_\w+\.sql$/.exec(name)?.[1];
    if (number === undefined) throw new StartupError(`The migration ${name} is not named like 0001_name.sql`);
    // Git may check the files out with other line ends.
    const text = readFileSync(join(folder, name), 'utf8').replaceAll('\r\n', '\n');
    const checksum = createHash('sha256').update(text).digest('hex');
    const beside = /^-- Runs beside: (\d{4})$/m.exec(text)?.[1];
    const runsBeside = beside === undefined ? undefined : Number(beside);
    return { number: Number(number), name: name.slice(0, -'.sql'.length), text, checksum, runsBeside };
  });
  migrations.sort((a, b) => a.number - b.number);
  const twice = migrations.find((file, index) => migrations[index - 1]?.number === file.number);
  if (twice !== undefined) throw new StartupError(`Two migrations have the number of ${twice.name}`);
  return migrations;
}
