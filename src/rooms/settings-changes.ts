/** Changed settings of rooms as Postgres has them, for nodes that may have missed the events. See migrations/0009. */
import type { postgres } from '../storage/sql.ts';
import type { RoomEvent } from '../fanout/fanout.ts';
import { roomToRoom } from './room-events.ts';
import { stateColumns, stateOf, type StateRow } from './summary.ts';

export type RoomChange = 'updated' | 'archived' | 'unarchived';

export interface RoomChangePage {
  /** Where to go on. */
  readonly cursor: string;
  /** For each room the event of its last change since the cursor, with its present state. Some were published before. */
  readonly events: readonly RoomEvent[];
}

interface ChangeRow extends StateRow {
  cursor: string;
  room: string | null;
  change: RoomChange;
  changed_by: string;
}

/**
 * One statement, so one snapshot: a change that it cannot see comes with the next cursor.
 * @param maxRooms of more rooms the last to change
 */
export async function roomChanges(sql: postgres.Sql, cursor: string, maxRooms = 1000): Promise<RoomChangePage> {
  const rows = await sql<[ChangeRow, ...ChangeRow[]]>`
    select s.cursor, c.room_id as room, c.change, c.changed_by, ${stateColumns(sql)}
    from (select pg_snapshot_xmin(pg_current_snapshot())::text as cursor) s
    left join (
      select * from (
        select distinct on (room_id) * from room_changes where xid >= ${cursor}::text::xid8 order by room_id, xid desc
      ) last order by xid desc limit ${maxRooms}
    ) c on exists (select from rooms x where x.id = c.room_id)
    left join rooms r on r.id = c.room_id`;
  const events = rows.flatMap((row) => {
    const { room, change, changed_by: by } = row;
    return room === null ? [] : [roomToRoom({ room, change, by, state: stateOf(row) })];
  });
  return { cursor: rows[0].cursor, events };
}

/** Deletes changes after an hour. Clients of a node without Postgres for longer get the changes with their next list. */
export async function pruneRoomChanges(sql: postgres.Sql, batch = 5000): Promise<number> {
  const rows = await sql`
    delete from room_changes where ctid = any (array(
      select ctid from (select ctid, at from room_changes order by xid limit ${batch}) oldest
      where at < now() - interval '1 hour'))`;
  return rows.count;
}
