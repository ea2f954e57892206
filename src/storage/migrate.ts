import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type postgres from 'postgres';
import { StartupError } from '../startup-error.ts';
import { migrationLock } from './locks.ts';

/** `migrations/` at the top, two folders up from here in src/ and in dist/. */
const defaultFolder = fileURLToPath(new URL('../../migrations/', import.meta.url));

interface Migration {
  readonly number: number;
  readonly name: string;
  readonly text: string;
  readonly checksum: string;
}

interface Applied {
  readonly number: number;
  readonly name: string;
  readonly checksum: string;
}

/**
 * Applies what is missing, in order, each file in a transaction of its own, and returns the names of what it applied.
 * Any number of processes may do so at once: each transaction waits for the one before and looks again. Throws a
 * StartupError, and leaves the database as the last whole migration left it, when a file fails or was edited after it
 * had been applied, or when the database is newer than the files.
 */
export async function migrate(sql: postgres.Sql, folder: string = defaultFolder): Promise<string[]> {
  const files = readMigrations(folder);
  const applied: string[] = [];
  await sql.begin(async (tx) => {
    await lock(tx);
    await tx`
      create table if not exists schema_migrations (
        number int primary key,
        name text not null,
        checksum text not null,
        applied_at timestamptz not null default now()
      )`;
    compare(files, await readApplied(tx));
  });
  for (const file of files) {
    const done = await sql.begin(async (tx) => {
      await lock(tx);
      const before = await readApplied(tx);
      compare(files, before);
      if (before.some((row) => row.number === file.number)) return false;
      await apply(tx, file);
      return true;
    });
    if (done) applied.push(file.name);
  }
  return applied;
}

/** The names of the migrations that the database lacks. Throws as `migrate` does when it has others. */
export async function migrationsPending(sql: postgres.Sql, folder: string = defaultFolder): Promise<string[]> {
  const files = readMigrations(folder);
  const [table] = await sql<{ exists: boolean }[]>`select to_regclass('schema_migrations') is not null as exists`;
  const applied = table?.exists === true ? await readApplied(sql) : [];
  compare(files, applied);
  return files.filter((file) => !applied.some((row) => row.number === file.number)).map((file) => file.name);
}

async function lock(tx: postgres.TransactionSql): Promise<void> {
  // Both the wait and an index over a large table may take longer than a statement of the running server may.
  await tx`set local statement_timeout = 0`;
  await tx`select pg_advisory_xact_lock(${migrationLock[0]}, ${migrationLock[1]})`;
}

async function apply(tx: postgres.TransactionSql, file: Migration): Promise<void> {
  try {
    await tx.unsafe(file.text);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const position = 'position' in error ? Number(error.position) : NaN;
    const line = Number.isNaN(position) ? '' : ` (line ${file.text.slice(0, position).split('\n').length})`;
    throw new StartupError(`Migration ${file.name} failed${line}: ${error.message}`, { cause: error });
  }
  await tx`
    insert into schema_migrations (number, name, checksum)
    values (${file.number}, ${file.name}, ${file.checksum})`;
}

function readApplied(sql: postgres.ISql): Promise<Applied[]> {
  return sql<Applied[]>`select number, name, checksum from schema_migrations order by number`;
}

/** Whatever was applied must be among the files, unchanged, without a hole before it. */
function compare(files: readonly Migration[], applied: readonly Applied[]): void {
  for (const [index, row] of applied.entries()) {
    const file = files[index];
    if (file === undefined) {
      const last = files.at(-1)?.name ?? 'none';
      throw new StartupError(`The database is newer than this Parley: it has ${row.name}, this one ends with ${last}`);
    }
    if (file.number !== row.number) {
      throw new StartupError(`The database has the migration ${row.name} where this Parley has ${file.name}`);
    }
    if (file.checksum !== row.checksum) {
      throw new StartupError(`The migration ${file.name} was edited after it had been applied; add a new one instead`);
    }
  }
}

function readMigrations(folder: string): Migration[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.sql'));
  const migrations = names.map((name) => {
    const number = /^(\d{4})_\w+\.sql$/.exec(name)?.[1];
    if (number === undefined) throw new StartupError(`The migration ${name} is not named like 0001_name.sql`);
    // Git may check the files out with other line ends.
    const text = readFileSync(join(folder, name), 'utf8').replaceAll('\r\n', '\n');
    const checksum = createHash('sha256').update(text).digest('hex');
    return { number: Number(number), name: name.slice(0, -'.sql'.length), text, checksum };
  });
  migrations.sort((a, b) => a.number - b.number);
  const twice = migrations.find((file, index) => migrations[index - 1]?.number === file.number);
  if (twice !== undefined) throw new StartupError(`Two migrations have the number of ${twice.name}`);
  return migrations;
}
