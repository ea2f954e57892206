/** The tables of BullMQ in Postgres, in a schema of their own. Only a process without Redis has queues there. */
import { assertSchemaCompatibility, LATEST_SCHEMA_VERSION, runMigrations } from 'bullmq';
import { migrationLock } from '../../storage/locks.ts';
import type { postgres } from '../../storage/sql.ts';
import { runQuery } from './pg-pool.ts';

/**
 * Makes or updates the tables of BullMQ. One transaction, under the lock of our migrations.
 * @returns whether anything changed
 */
export async function migrateQueues(sql: postgres.Sql): Promise<boolean> {
  if (await isCurrent(sql)) return false;
  await sql.begin(async (tx) => {
    await tx`set local statement_timeout = 0`;
    await tx`select pg_advisory_xact_lock(${migrationLock[0]}, ${migrationLock[1]})`;
    await runMigrations({
      query: (text, params) =>
        // BullMQ writes the ends of the transaction that `begin` writes here
        /^(BEGIN|COMMIT|ROLLBACK)$/.test(text) ? Promise.resolve({ rows: [] }) : runQuery(tx, text, params),
    });
  });
  return true;
}

async function isCurrent(sql: postgres.Sql): Promise<boolean> {
  const [row] = await sql<{ exists: boolean }[]>`select to_regclass('bullmq.migration') is not null as exists`;
  if (row?.exists !== true) return false;
  const version = await assertSchemaCompatibility({ query: (text, params) => runQuery(sql, text, params) });
  return version >= LATEST_SCHEMA_VERSION;
}
