import type postgres from 'postgres';

/**
 * Deletes outbox rows whose node died before it could hand their events on. With one node there is nobody left to tell:
 * the clients were this node's, and come back with their cursors.
 * @returns how many there were
 */
export async function sweepOutbox(sql: postgres.Sql): Promise<number> {
  const rows = await sql`delete from outbox where created_at < now() - interval '1 minute'`;
  return rows.count;
}
