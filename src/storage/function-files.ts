/**
 * `migrations/functions/<name>.sql`: the one current body of each SQL function. The migrator applies a file when its bytes
 * differ from those that were applied last, which `schema_functions` records. docs/database.md says how to change one.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StartupError } from '../startup-error.ts';
import type { postgres } from './sql.ts';

export interface FunctionFile {
  /** The name of the function. All overloads of the function are in this file. */
  readonly name: string;
  readonly text: string;
  readonly checksum: string;
}

/** In the order of their names. A folder of migrations without functions has none. @throws {StartupError} */
export function readFunctions(folder: string): FunctionFile[] {
  const functions = join(folder, 'functions');
  if (!existsSync(functions)) return [];
  const files = readdirSync(functions).filter((file) => file.endsWith('.sql'));
  return files.toSorted().map((file): FunctionFile => {
    const name = /^([a-z_][a-z0-9_]*)\.sql$/.exec(file)?.[1];
    if (name === undefined) throw new StartupError(`The function file ${file} is not named like its function`);
    const bytes = readFileSync(join(functions, file));
    return { name, text: bytes.toString('utf8'), checksum: createHash('sha256').update(bytes).digest('hex') };
  });
}

/** The files whose bytes differ from the bytes that were applied last. */
export async function functionsPending(
  sql: postgres.ISql,
  files: readonly FunctionFile[],
): Promise<readonly FunctionFile[]> {
  if (files.length === 0) return [];
  const [table] = await sql<{ exists: boolean }[]>`select to_regclass('schema_functions') is not null as exists`;
  if (table?.exists !== true) return files;
  const rows = await sql<{ name: string; checksum: string }[]>`select name, checksum from schema_functions`;
  const applied = new Map(rows.map(({ name, checksum }) => [name, checksum]));
  return files.filter(({ name, checksum }) => applied.get(name) !== checksum);
}

/**
 * Applies the files that are pending, in the caller's transaction and under the caller's lock, and returns their names.
 * A function that has no file any more was dropped by a migration: its row goes, so that a new file of that name counts.
 */
export async function applyFunctions(
  tx: postgres.TransactionSql,
  files: readonly FunctionFile[],
): Promise<readonly string[]> {
  if (files.length === 0) return [];
  const pending = await functionsPending(tx, files);
  // Functions call each other, and Postgres checks the callees of an SQL function when the function is made. So SQL functions are
  // made first without that check, and then once more with it.
  const inSql = pending.filter(({ text }) => /\blanguage sql\b/i.test(text));
  const others = pending.filter((file) => !inSql.includes(file));
  for (const [check, some] of [
    ['on', others],
    ['off', inSql],
    ['on', inSql],
  ] as const) {
    await tx`select set_config('check_function_bodies', ${check}, true)`;
    for (const file of some) await apply(tx, file);
  }
  await tx`
    insert into schema_functions (name, checksum)
    select * from unnest(${pending.map(({ name }) => name)}::text[], ${pending.map(({ checksum }) => checksum)}::text[])
    on conflict (name) do update set checksum = excluded.checksum, applied_at = now()`;
  await tx`delete from schema_functions where name <> all (${files.map(({ name }) => name)}::text[])`;
  return pending.map(nameOf);
}

/** As lists of what is pending or was applied have it, beside the names of migrations. */
export const nameOf = ({ name }: FunctionFile): string => `functions/${name}`;
export const isFunction = (name: string): boolean => name.startsWith('functions/');

async function apply(tx: postgres.TransactionSql, { name, text }: FunctionFile): Promise<void> {
  try {
    await tx.unsafe(text);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new StartupError(`The function ${name} could not be applied${lineOf(error, text)}: ${error.message}`, {
      cause: error,
    });
  }
}

/** Where Postgres found the error in a text, if it says so. */
export function lineOf(error: Error, text: string): string {
  const position = 'position' in error ? Number(error.position) : NaN;
  return Number.isNaN(position) ? '' : ` (line ${text.slice(0, position).split('\n').length})`;
}
