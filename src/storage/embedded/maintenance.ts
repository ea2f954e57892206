import { PeriodicTask } from '../../jobs/periodic-task.ts';
import type { postgres } from '../sql.ts';

/**
 * The work of a server's background processes, which PGlite lacks. Without this work deleted rows are never reclaimed, the
 * planner has no statistics, and the write-ahead log grows until the database is closed.
 */
export interface Maintenance {
  /** Resolves after the end of the current round. */
  stop(): Promise<void>;
}

const intervalMs = 60_000;
const checkpointAfterBytes = 32 * 1024 * 1024;
const freezeAfterTransactions = 200_000_000;

export function startMaintenance(sql: postgres.Sql, onError: (error: unknown) => void): Maintenance {
  const task = new PeriodicTask({
    run: (signal) => maintain(sql, () => signal.aborted),
    everyMs: intervalMs,
    failed: (error) => onError(error),
    keepsAlive: false,
  });
  task.startLater();
  return { stop: () => task.stop() };
}

/** One round. Every statement is a transaction, so that other commands are answered between them. */
export async function maintain(sql: postgres.Sql, stopped: () => boolean = () => false): Promise<void> {
  const [log] = await sql<{ bytes: number }[]>`
    select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), redo_lsn)::int8 as bytes from pg_control_checkpoint()`;
  if (log !== undefined && log.bytes > checkpointAfterBytes) await sql`checkpoint`;

  const [age] = await sql<{ transactions: number }[]>`
    select age(datfrozenxid) as transactions from pg_database where datname = current_database()`;
  if (age !== undefined && age.transactions > freezeAfterTransactions) await sql`vacuum (freeze)`;

  // The thresholds are those of autovacuum.
  const tables = await sql<{ schemaname: string; relname: string; vacuum: boolean }[]>`
    select s.schemaname, s.relname,
      s.n_dead_tup > 50 + 0.2 * greatest(c.reltuples, 0)
        or s.n_ins_since_vacuum > 1000 + 0.2 * greatest(c.reltuples, 0) as vacuum
    from pg_stat_all_tables s join pg_class c on c.oid = s.relid
    where s.schemaname <> 'pg_toast' and (
      s.n_dead_tup > 50 + 0.2 * greatest(c.reltuples, 0)
      or s.n_ins_since_vacuum > 1000 + 0.2 * greatest(c.reltuples, 0)
      or s.n_mod_since_analyze > 50 + 0.1 * greatest(c.reltuples, 0))`;
  for (const table of tables) {
    if (stopped()) return;
    const name = sql`${sql(table.schemaname)}.${sql(table.relname)}`;
    await (table.vacuum ? sql`vacuum (analyze) ${name}` : sql`analyze ${name}`);
  }
}
