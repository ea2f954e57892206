import type { postgres } from '../storage/sql.ts';
import type { Role, RoomKind, RoomState, RoomSummary } from '../protocol/model.ts';
import { membership } from './access.ts';

/** The columns of `StateRow` from a row `r` of `rooms`. */
export function stateColumns(sql: postgres.ISql): postgres.Fragment {
  return sql`r.id, r.kind, r.name, r.topic, r.archived_at, r.retention_days, r.slow_mode_s, r.senders, r.edit_window_s`;
}

/** The columns of `SummaryRow` from `r`, a row `m` of `members`, and `peerOf`. */
export function summaryColumns(sql: postgres.ISql): postgres.Fragment {
  return sql`${stateColumns(sql)}, r.last_seq, r.last_rev, m.role, m.last_read_seq, ${muteColumns(sql)}, p.id as peer, p.name as peer_name`;
}

/**
 * The other user of a direct room, member or not, to be joined as `p` after `r` and `m`. The join gives a name if that user is
 * or was in the room. The room of an import does not say for whom it was opened, so its members decide.
 *
 * The kind is checked inside, and `offset 0` keeps Postgres from copying the subquery into each place that names `o.id`. As a
 * condition of the join the check came last: rooms that are not direct paid for the subqueries. Then a page of rooms took
 * 3.2 × as long. The `offset 0` of the two lookups keeps Postgres from a hash of all members.
 */
export function peerOf(sql: postgres.ISql): postgres.Fragment {
  return sql`
    left join lateral (
      select o.id, case when o.id is not null then (
        select u.name from users u where u.id = o.id and (
          exists (select from members x where x.room_id = r.id and x.user_id = o.id offset 0)
          or exists (select from departures d where d.room_id = r.id and d.user_id = o.id offset 0))) end as name
      from (
        select case when r.kind = 'direct' then coalesce(
          case when r.created_by = m.user_id then r.peer_id when r.peer_id = m.user_id then r.created_by end,
          (select x.user_id from members x where x.room_id = r.id and x.user_id <> m.user_id limit 1)) end as id
        offset 0
      ) o
    ) p on true`;
}

/** A room as its member sees it; undefined for a user that is no member. */
export async function readSummary(sql: postgres.Sql, user: string, room: string): Promise<RoomSummary | undefined> {
  const [row] = await sql<SummaryRow[]>`
    select ${summaryColumns(sql)}
    from rooms r
    join ${membership(sql, user)}
    ${peerOf(sql)}
    where r.id = ${room}`;
  return row === undefined ? undefined : summaryOf(row);
}

/** A mute that has ended is none. */
export function muteColumns(sql: postgres.ISql): postgres.Fragment {
  return sql`
    coalesce(m.muted_until > now(), false) as muted,
    case when m.muted_until > now() then nullif(m.muted_until, 'infinity') end as muted_until`;
}

/** A room as everybody sees it. */
export interface StateRow {
  id: string;
  kind: RoomKind;
  name: string | null;
  topic: string | null;
  archived_at: number | null;
  retention_days: number | null;
  slow_mode_s: number;
  senders: 'all' | 'admins';
  edit_window_s: number | null;
}

export interface MuteRow {
  muted: boolean;
  muted_until: number | null;
}

/** A room with one user's part in it, as the queries select it. */
export interface SummaryRow extends StateRow, MuteRow {
  role: Role | null;
  last_seq: number;
  last_rev: number;
  last_read_seq: number | null;
  peer: string | null;
  peer_name: string | null;
  member_count?: number;
}

export function stateOf(row: StateRow): RoomState {
  const state: RoomState = { id: row.id, kind: row.kind, name: row.name };
  if (row.topic !== null) state.topic = row.topic;
  if (row.archived_at !== null) state.archived = row.archived_at;
  if (row.slow_mode_s > 0) state.slowMode = row.slow_mode_s;
  if (row.senders === 'admins') state.senders = row.senders;
  if (row.edit_window_s !== null) state.editWindow = row.edit_window_s;
  if (row.retention_days !== null) state.retentionDays = row.retention_days;
  return state;
}

/** The settings of a room as `update_room` compares them. */
export function settingsJson(room: RoomState): string {
  const { name, topic = null, retentionDays = null, slowMode = 0, senders = 'all', editWindow = null, archived } = room;
  return JSON.stringify({
    name,
    topic,
    retentionDays,
    slowMode,
    senders,
    editWindow,
    archived: archived !== undefined,
  });
}

export function summaryOf(row: SummaryRow): RoomSummary {
  const summary: RoomSummary = {
    ...stateOf(row),
    role: row.role,
    seq: row.last_seq,
    rev: row.last_rev,
    read: row.last_read_seq ?? 0,
  };
  if (row.peer !== null) summary.peer = { id: row.peer, name: row.peer_name };
  if (row.muted) summary.muted = { until: row.muted_until };
  if (row.member_count !== undefined) summary.members = row.member_count;
  return summary;
}
