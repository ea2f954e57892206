/** Changes of membership as Postgres has them, for nodes that may have missed the events. See migrations/0002. */
import type { postgres } from '../storage/sql.ts';
import type { Role } from '../protocol/model.ts';
import { muteColumns, type MuteRow } from './summary.ts';

export interface Membership {
  readonly room: string;
  readonly user: string;
  /** As it is now; null: no member. */
  readonly role: Role | null;
  /** Absent: not muted. */
  readonly mutedUntil?: number;
  /** The role or a mute of a member changed. */
  readonly updated?: boolean;
  /** The version of this state; absent where it is not known. See migrations/0015. */
  readonly version?: number;
}

/** A mute that only `room:unmute` ends. */
const forEver = Number.MAX_SAFE_INTEGER;

/** @returns until when, in milliseconds since 1970; undefined: not muted. */
export function muteEnd({ muted, muted_until: until }: MuteRow): number | undefined {
  return muted ? (until ?? forEver) : undefined;
}

/** The end of a mute as events have it: null for a mute without an end. */
export function wireMuteEnd(until: number): number | null {
  return until === forEver ? null : until;
}

export interface MembershipPage {
  /** Where to go on. */
  readonly cursor: string;
  /** Everything that changed since the cursor, some of it seen before; undefined: more than a page takes. */
  readonly changed: readonly Membership[] | undefined;
}

const pageSize = 10_000;
const usersChunk = 100;

/** Where to begin with changes. */
export interface MembershipStart {
  /** For the changes that are not visible yet. */
  readonly cursor: string;
  /** No change that is visible now has a later version. */
  readonly version: number;
}

export async function membershipStart(sql: postgres.Sql): Promise<MembershipStart> {
  const [row] = await sql<[MembershipStart]>`
    select pg_snapshot_xmin(pg_current_snapshot())::text as cursor,
      coalesce(pg_sequence_last_value('membership_version'::regclass), 0)::int8 as version`;
  return row;
}

/**
 * One statement, so one snapshot: a change that it cannot see comes with the next cursor. A user may have several rows in a
 * room. All have the present role, so the row of a change of role comes first.
 */
export async function membershipChanges(
  sql: postgres.Sql,
  cursor: string,
  maxRows = pageSize,
): Promise<MembershipPage> {
  const rows = await sql<(MembershipRow & { cursor: string; room: string | null; user: string | null })[]>`
    select s.cursor, c.room_id as room, c.user_id as user, c.updated, m.role, coalesce(m.version, c.version) as version, ${muteColumns(sql)}
    from (select pg_snapshot_xmin(pg_current_snapshot())::text as cursor) s
    left join (
      select room_id, user_id, updated, version from membership_changes where xid >= ${cursor}::text::xid8 limit ${maxRows + 1}
    ) c on true
    left join members m on m.room_id = c.room_id and m.user_id = c.user_id
      and exists (select from rooms r where r.id = m.room_id)
    order by c.updated desc nulls last`;
  const next = rows[0]?.cursor ?? cursor;
  if (rows.length > maxRows) return { cursor: next, changed: undefined };
  const changed = rows.flatMap(({ room, user, ...row }) =>
    room === null || user === null ? [] : [membershipOf(room, user, row)],
  );
  return { cursor: next, changed };
}

interface MembershipRow extends MuteRow {
  role: Role | null;
  updated?: boolean;
  version: number | null;
}

function membershipOf(room: string, user: string, row: MembershipRow): Membership {
  const mutedUntil = muteEnd(row);
  const { role, updated = false, version } = row;
  const mute = mutedUntil === undefined ? {} : { mutedUntil };
  return { room, user, role, updated, ...mute, ...(version === null ? {} : { version }) };
}

/** All rooms of the users. */
export async function membershipsOf(sql: postgres.Sql, users: readonly string[]): Promise<Membership[]> {
  const found: Membership[] = [];
  for (let from = 0; from < users.length; from += usersChunk) {
    const ids = users.slice(from, from + usersChunk);
    const rows = await sql<(MembershipRow & { room: string; user: string })[]>`
      select m.room_id as room, m.user_id as user, m.role, m.version, ${muteColumns(sql)}
      from members m join rooms r on r.id = m.room_id where m.user_id = any (${ids}::text[])`;
    found.push(...rows.map(({ room, user, ...row }) => membershipOf(room, user, row)));
  }
  return found;
}

/** Deletes changes after an hour: a node without Postgres for longer reads all rooms of its users. */
export async function pruneMembershipChanges(sql: postgres.Sql, batch = 5000): Promise<number> {
  const rows = await sql`
    delete from membership_changes where ctid = any (array(
      select ctid from (select ctid, at from membership_changes order by xid limit ${batch}) oldest
      where at < now() - interval '1 hour'))`;
  return rows.count;
}
