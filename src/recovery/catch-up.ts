/**
 * Catch-up of a client by `sync`. The replay buffers serve the rooms that this node follows for the user, and Postgres serves
 * the others.
 *
 * A read of Postgres has two statements, whatever the number of rooms. The
 * first reads heads, which decide how many rows each room may take of the page. The second reads the rows, with the heads
 * of its own snapshot. A row may change between the two and pass the first head. A page that ended at the first head would
 * lack that row, and the event of the change does not carry the message itself.
 */
import type { postgres } from '../storage/sql.ts';
import type { ParsedInput } from '../protocol/commands.ts';
import type { RoomSummary } from '../protocol/model.ts';
import { messageColumns } from '../messages/message-columns.ts';
import { messageJson, type StoredMessage } from '../messages/message-json.ts';
import { membership } from '../rooms/access.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { fromReplay, type LiveRooms } from './replay-buffer.ts';

interface Share {
  readonly room: string;
  readonly cursor: number;
  readonly head: number;
  /** Messages up to this rev have expired. A client with an earlier cursor may hold some of them. */
  readonly purged: number;
  /** Rows that the room may take of this answer. */
  readonly take: number;
}

/**
 * A row with the room's head and purged rev in the same snapshot. `available` counts the rows before the page was cut for
 * its bytes.
 */
type ChangedRow = StoredMessage & { readonly head: number; readonly purged: number; readonly available: number };

/** The head of a room in an answer or an event. */
export type Head = Pick<RoomSummary, 'id' | 'rev'>;

/** JSON texts of `"room":{…}`, and whether there is more in any. */
export interface SyncedRooms {
  readonly rooms: readonly string[];
  readonly more: boolean;
  /** The heads of the rooms that this answer brings up to date. */
  readonly heads: readonly Head[];
}

export interface CatchUpParts extends LiveRooms {
  /** Reads from Postgres, in the turn of the user. */
  readonly messaging: { synced(user: string, input: ParsedInput<'sync'>): Promise<SyncedRooms> };
  readonly metrics: Metrics;
}

export class CatchUp {
  readonly #parts: CatchUpParts;

  constructor(parts: CatchUpParts) {
    this.#parts = parts;
  }

  /**
   * The JSON text of the output of `sync`, and the heads in it.
   * @param epoch the epoch of the read
   */
  async sync(
    user: string,
    input: ParsedInput<'sync'>,
    epoch: string,
  ): Promise<{ json: string; heads: readonly Head[] }> {
    const { messaging, metrics } = this.#parts;
    const near = await fromReplay(user, input, this.#parts);
    metrics.syncedRooms.inc({ source: 'tail' }, near.rooms.length);
    const left = Object.keys(near.rest.cursors).length;
    if (left === 0) return answer(near, epoch);
    metrics.syncedRooms.inc({ source: 'postgres' }, left);
    const far = await messaging.synced(user, near.rest);
    const all = { rooms: [...near.rooms, ...far.rooms], more: near.more || far.more };
    return answer({ ...all, heads: [...near.heads, ...far.heads] }, epoch);
  }
}

function answer({ rooms, more, heads: reached }: SyncedRooms, epoch: string): { json: string; heads: readonly Head[] } {
  return { json: `{"rooms":{${rooms.join(',')}},"more":${more},"epoch":"${epoch}"}`, heads: reached };
}

/** @param input `limit` may be 0: the answer then has only `more` and `reset` */
export async function sync(sql: postgres.Sql, user: string, input: ParsedInput<'sync'>): Promise<SyncedRooms> {
  const shares = share(await heads(sql, user, input.cursors), input.cursors, input.limit);
  const behind = shares.filter(({ take }) => take > 0);
  const rows = behind.length === 0 ? [] : await changed(sql, user, behind, input.bytes);
  const byRoom = groupByRoom(rows);
  // The revs up to the head may have no row. With `more` a client would send `sync` again and again. If other rooms have
  // rows, these may have left no space; the page after theirs then decides.
  const none = rows.length === 0;
  let more = false;
  const reachedHeads: Head[] = [];
  const rooms = shares.map(({ room, cursor, head, purged, take }) => {
    const found = byRoom.get(room) ?? [];
    const [first] = found;
    if (cursor > head || cursor < Math.max(purged, first?.purged ?? 0)) {
      reachedHeads.push({ id: room, rev: head });
      return `"${room}":{"messages":[],"rev":${head},"more":false,"reset":true}`;
    }
    const headNow = first?.head ?? head;
    // fewer rows than requested, and none cut: these are all rows up to the head, even if the head's own row expired
    const whole = first === undefined ? none && take > 0 : found.length === first.available && first.available < take;
    const reached = whole ? headNow : (found.at(-1)?.rev ?? cursor);
    const left = reached < headNow;
    more ||= left;
    if (!left) reachedHeads.push({ id: room, rev: reached });
    return `"${room}":{"messages":[${found.map(messageJson).join(',')}],"rev":${reached},"more":${left}}`;
  });
  return { rooms, more, heads: reachedHeads };
}

interface HeadRow {
  id: string;
  last_rev: number;
  purged_rev: number;
}

async function heads(sql: postgres.Sql, user: string, cursors: Record<string, number>): Promise<HeadRow[]> {
  const ids = Object.keys(cursors);
  if (ids.length === 0) return [];
  return sql<HeadRow[]>`
    select r.id, r.last_rev, r.purged_rev from rooms r join ${membership(sql, user)}
    where r.id = any (${ids}::text[]) order by r.id`;
}

/** Shares the page among the rooms until it is used up. A room needs at most the revs between its cursor and its head. */
function share(found: HeadRow[], cursors: Record<string, number>, limit: number): Share[] {
  let left = limit;
  return found.map(({ id, last_rev: head, purged_rev: purged }) => {
    const cursor = cursors[id] ?? 0;
    const take = cursor < purged ? 0 : Math.max(0, Math.min(left, head - cursor));
    left -= take;
    return { room: id, cursor, head, purged, take };
  });
}

/** Rows in room and rev order, cut where their bodies pass `bytes`. At least one row comes, so a client always advances. */
function changed(sql: postgres.Sql, user: string, shares: Share[], bytes: number): Promise<ChangedRow[]> {
  const rooms = shares.map(({ room }) => room);
  const cursors = shares.map(({ cursor }) => cursor);
  const takes = shares.map(({ take }) => take);
  return sql<ChangedRow[]>`
    select room, seq, rev, id, "from", name, body, reply_to, at, changes, thread, head, purged, available from (
      select x.*, r.last_rev as head, r.purged_rev as purged, u.name, count(*) over (partition by x.room) as available, sum(x.bytes) over (order by x.room, x.rev) - x.bytes as passed
      from unnest(${rooms}::text[], ${cursors}::bigint[], ${takes}::int[]) as c (room, cursor, take)
      join rooms r on r.id = c.room
      -- checked again: the membership may have ended since the heads were read
      join ${membership(sql, user)}
      cross join lateral (
        select y.*, coalesce(octet_length(y.body::text), 0) + coalesce(octet_length(y.changes), 0)
          + coalesce(octet_length(y.thread), 0) as bytes
        from (
          select ${messageColumns(sql, user)}
          from messages t where t.room_id collate "POSIX" = c.room and t.rev > c.cursor order by t.rev limit c.take
        ) y
      ) x
      left join users u on u.id = x.from
    ) page
    where passed < ${bytes} order by room, rev`;
}

function groupByRoom(rows: ChangedRow[]): Map<string, ChangedRow[]> {
  const groups = new Map<string, ChangedRow[]>();
  for (const row of rows) {
    const group = groups.get(row.room);
    if (group === undefined) groups.set(row.room, [row]);
    else group.push(row);
  }
  return groups;
}
