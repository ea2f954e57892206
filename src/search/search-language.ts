import type { postgres } from '../storage/sql.ts';
import { StartupError } from '../startup-error.ts';

/** @throws {StartupError} naming the languages that there are. */
export async function checkSearchLanguage(sql: postgres.Sql, language: string): Promise<void> {
  // the same name resolution by which the index is made
  const rows = await sql<{ name: string }[]>`
    select cfgname as name from pg_ts_config where pg_ts_config_is_visible(oid) order by cfgname`;
  const names = rows.map(({ name }) => name);
  if (names.includes(language.replace(/^pg_catalog\./, ''))) return;
  throw new StartupError(
    `PARLEY_SEARCH_LANGUAGE=${language}: Postgres has no such text search configuration; expected one of ${names.join(', ')}.`,
  );
}
