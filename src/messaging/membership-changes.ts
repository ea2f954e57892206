/** Changes of membership as Postgres has them, for nodes that may not have been told. See migrations/0002. */
import type postgres from 'postgres';
import type { Role } from '../protocol/model.ts';

export interface Membership {
  readonly room: string;
  readonly user: string;
  /** As it is now; null: no member. */
  readonly role: Role | null;
}

export interface MembershipPage {
  /** Where to go on. */
  readonly cursor: string;
  /** Everything that changed since the cursor, some of it seen before; undefined: more than a page takes. */
  readonly changed: readonly Membership[] | undefined;
}

const pageSize = 10_000;
const usersChunk = 100;

/** A cursor for changes that are not visible yet. */
export async function membershipCursor(sql: postgres.Sql): Promise<string> {
  const [row] = await sql<[{ cursor: string }]>`select pg_snapshot_xmin(pg_current_snapshot())::text as cursor`;
  return row.cursor;
}

/** One statement, so one snapshot: what it cannot see comes with the next cursor. */
export async function membershipChanges(
  sql: postgres.Sql,
  cursor: string,
  maxRows = pageSize,
): Promise<MembershipPage> {
  const rows = await sql<{ cursor: string; room: string | null; user: string | null; role: Role | null }[]>`
    select s.cursor, c.room_id as room, c.user_id as user, m.role
    from (select pg_snapshot_xmin(pg_current_snapshot())::text as cursor) s
    left join (
      select room_id, user_id from membership_changes where xid >= ${cursor}::text::xid8 limit ${maxRows + 1}
    ) c on true
    left join members m on m.room_id = c.room_id and m.user_id = c.user_id`;
  const next = rows[0]?.cursor ?? cursor;
  if (rows.length > maxRows) return { cursor: next, changed: undefined };
  return { cursor: next, changed: rows.filter((row): row is typeof row & Membership => row.room !== null) };
}

/** All rooms of the users. */
export async function membershipsOf(sql: postgres.Sql, users: readonly string[]): Promise<Membership[]> {
  const found: Membership[] = [];
  for (let from = 0; from < users.length; from += usersChunk) {
    const ids = users.slice(from, from + usersChunk);
    const rows = await sql<Membership[]>`
      select room_id as room, user_id as user, role from members where user_id = any (${ids}::text[])`;
    found.push(...rows);
  }
  return found;
}

/** Deletes what every node has seen long ago: nodes that were away for longer read their users' rooms whole. */
export async function pruneMembershipChanges(sql: postgres.Sql, batch = 5000): Promise<number> {
  const rows = await sql`
    delete from membership_changes where ctid = any (array(
      select ctid from (select ctid, at from membership_changes order by xid limit ${batch}) oldest
      where at < now() - interval '1 hour'))`;
  return rows.count;
}
