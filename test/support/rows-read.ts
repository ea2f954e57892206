import type postgres from 'postgres';

/**
 * Entries of indices and rows of whole tables that Postgres read for this. The connection must be the only one.
 * @param table of one table alone
 */
export async function rowsRead(
  sql: postgres.Sql,
  run: () => Promise<unknown>,
  table: string | null = null,
): Promise<number> {
  const count = async (): Promise<number> => {
    await sql`select pg_stat_force_next_flush()`;
    const [row] = await sql<{ read: number }[]>`
      select (select sum(idx_tup_read) from pg_stat_user_indexes where relname = coalesce(${table}, relname))::bigint
        + (select sum(seq_tup_read) from pg_stat_user_tables
           where relname = coalesce(${table}, relname) and not relname like 'data_set%')::bigint as read`;
    return row?.read ?? 0;
  };
  const before = await count();
  await run();
  return (await count()) - before;
}
