/** Databases as an earlier release left them. */
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { migrate } from '../../src/storage/migrate.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';

const all = fileURLToPath(new URL('../../migrations/', import.meta.url));

/** The numbered files up to this one, which is named by its four digits, in a folder of their own. */
export function earlierMigrations(last: string): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'parley-migrations-'));
  for (const file of readdirSync(all)) {
    if (/^\d{4}_.*\.sql$/.test(file) && file.slice(0, 4) <= last) copyFileSync(join(all, file), join(path, file));
  }
  return { path, remove: () => rmSync(path, { recursive: true }) };
}

/** A database with the numbered files up to this one. Releases up to 0028 had their functions in these files too. */
export async function createEarlierDatabase(last: string): Promise<TestDatabase> {
  const database = await createTestDatabase({ empty: true });
  const folder = earlierMigrations(last);
  await migrate(database.sql, folder.path);
  folder.remove();
  return database;
}
