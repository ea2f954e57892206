import type { postgres } from '../storage/sql.ts';

type Chore = 'retention' | 'search';

/**
 * Takes a piece of work that one node does, once in a while. @returns true for one of those that ask, and then for none
 * until the time has passed. A node that dies with it leaves it until then.
 */
export async function takeChore(sql: postgres.Sql, name: Chore, everyMs: number): Promise<boolean> {
  // rather early than never: timers of nodes and the clock of the database do not agree to the millisecond
  const rows = await sql`
    insert into chores (name, due_at) values (${name}, clock_timestamp() + ${everyMs * 0.9} * interval '1 ms')
    on conflict (name) do update set due_at = excluded.due_at where chores.due_at <= clock_timestamp()
    returning name`;
  return rows.length > 0;
}

/** Whoever took it is still at it: nobody else begins for as long again. */
export async function keepChore(sql: postgres.Sql, name: Chore, everyMs: number): Promise<void> {
  await sql`
    update chores set due_at = greatest(due_at, clock_timestamp() + ${everyMs * 0.9} * interval '1 ms') where name = ${name}`;
}
