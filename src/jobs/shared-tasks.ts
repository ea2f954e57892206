import type { postgres } from '../storage/sql.ts';

type SharedTask = 'notifications' | 'retention' | 'search' | 'uploads' | 'webhooks';

/**
 * Claims a periodic task that one node does for all. @returns true for one of the calling nodes, and then for none until the
 * time has passed. If that node dies, the task rests until then.
 */
export async function claimTask(sql: postgres.Sql, name: SharedTask, everyMs: number): Promise<boolean> {
  // a little early: timers of nodes and the clock of the database differ by milliseconds
  const rows = await sql`
    insert into chores (name, due_at) values (${name}, clock_timestamp() + ${everyMs * 0.9} * interval '1 ms')
    on conflict (name) do update set due_at = excluded.due_at where chores.due_at <= clock_timestamp()
    returning name`;
  return rows.length > 0;
}

/** Extends the claim of a node that is still at the task: no other node begins for as long again. */
export async function extendClaim(sql: postgres.Sql, name: SharedTask, everyMs: number): Promise<void> {
  await sql`
    update chores set due_at = greatest(due_at, clock_timestamp() + ${everyMs * 0.9} * interval '1 ms') where name = ${name}`;
}
