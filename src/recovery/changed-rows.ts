/**
 * The changed messages of rooms, read in slices. Postgres counts the bytes of every row of a statement before it cuts the
 * page. So an answer of one large row, in a statement for a thousand of them, costs as much as all thousand. A slice has as
 * many rows as are likely to fit. Most pages need one slice.
 *
 * Each slice is a snapshot of its own, as if the client had sent `sync` again. A row that changes meanwhile comes once, with
 * its later rev.
 */
import type { postgres } from '../storage/sql.ts';
import { messageColumns } from '../messages/message-columns.ts';
import type { StoredMessage } from '../messages/message-json.ts';
import { membership } from '../rooms/access.ts';

export interface RoomShare {
  readonly room: string;
  readonly cursor: number;
  readonly head: number;
  /** Messages up to this rev have expired. A client with an earlier cursor may hold some of them. */
  readonly purged: number;
  /** Rows that the room may take of this answer. */
  readonly take: number;
}

/** The part of a share that no slice has read yet. */
type Unread = Pick<RoomShare, 'room' | 'cursor' | 'take'>;

/** A row with the room's head and purged rev in the same snapshot, and its bytes. */
interface ChangedRow extends StoredMessage {
  readonly head: number;
  readonly purged: number;
  readonly bytes: number;
}

/** The rows of one room, in rev order. */
export interface ChangedRoom {
  readonly rows: readonly ChangedRow[];
  /** As of the last slice with rows of the room. */
  readonly head: number;
  readonly purged: number;
  /** These are all rows up to the head, even if the head's own row expired. */
  readonly whole: boolean;
}

/** Rows of the first slice: a page of large messages then reads 2 MiB at most. A page of few bytes has fewer rows. */
const firstRows = 128;
const fewestRows = 8;
const bytesOfFirstRow = 512;

/** The rows of the rooms, up to the row that reaches `bytes`. A room without rows is left out. */
export async function changedRows(
  sql: postgres.Sql,
  user: string,
  shares: readonly RoomShare[],
  bytes: number,
): Promise<Map<string, ChangedRoom>> {
  const found = new Map<string, ChangedRoom>();
  let unread: readonly Unread[] = shares;
  let left = bytes;
  let slice = Math.min(firstRows, Math.max(fewestRows, Math.ceil(bytes / bytesOfFirstRow)));
  let rows = 0;
  while (unread.length > 0 && left > 0) {
    const part = cut(unread, slice);
    const read = await changed(sql, user, part, left);
    for (const row of read) left -= row.bytes;
    note(found, part, read, left <= 0);
    unread = [...rest(unread, part, found), ...unread.slice(part.length)];
    rows += read.length;
    // a tenth more than are likely to fit, because rows differ
    const fit = rows === 0 ? firstRows : (left * rows * 1.1) / Math.max(1, bytes - left);
    slice = Math.max(fewestRows, Math.ceil(fit));
  }
  return found;
}

/** The first shares, with `rows` rows together. */
function cut(shares: readonly Unread[], rows: number): Unread[] {
  const part: Unread[] = [];
  let left = rows;
  for (const { room, cursor, take } of shares) {
    if (left === 0) break;
    part.push({ room, cursor, take: Math.min(take, left) });
    left -= Math.min(take, left);
  }
  return part;
}

/** @param isFull the page has no bytes left: rows of the last room may be missing */
function note(
  found: Map<string, ChangedRoom>,
  part: readonly Unread[],
  read: readonly ChangedRow[],
  isFull: boolean,
): void {
  const takes = new Map(part.map(({ room, take }) => [room, take]));
  for (const [room, rows] of groupByRoom(read)) {
    const { head, purged } = rows[0] as ChangedRow;
    const isCut = isFull && room === read.at(-1)?.room;
    const whole = !isCut && rows.length < (takes.get(room) ?? 0);
    const again = new Set(rows.map(({ seq }) => seq));
    const before = found.get(room)?.rows.filter(({ seq }) => !again.has(seq)) ?? [];
    found.set(room, { rows: [...before, ...rows], head, purged, whole });
  }
}

/** The share of the last room of a slice, if the slice ended within it. A room without another row stays as it was noted. */
function rest(unread: readonly Unread[], part: readonly Unread[], found: ReadonlyMap<string, ChangedRoom>): Unread[] {
  const [before, now] = [unread[part.length - 1], part.at(-1)];
  if (before === undefined || now === undefined || before.take === now.take) return [];
  const changes = found.get(now.room);
  const last = changes?.rows.at(-1);
  if (changes === undefined || last === undefined || changes.whole || last.rev === now.cursor) return [];
  return [{ room: now.room, cursor: last.rev, take: before.take - now.take }];
}

/** Rows in room and rev order, cut where their bytes pass `bytes`. At least one row comes, so a client always advances. */
function changed(sql: postgres.Sql, user: string, shares: readonly Unread[], bytes: number): Promise<ChangedRow[]> {
  const rooms = shares.map(({ room }) => room);
  const cursors = shares.map(({ cursor }) => cursor);
  const takes = shares.map(({ take }) => take);
  // offset 0: the text of a body is made once, for its bytes and for the answer
  return sql<ChangedRow[]>`
    select room, seq, rev, id, "from", name, text as body, reply_to, at, changes, thread, head, purged, bytes from (
      select x.*, r.last_rev as head, r.purged_rev as purged, u.name, sum(x.bytes) over (order by x.room, x.rev) - x.bytes as passed
      from unnest(${rooms}::text[], ${cursors}::bigint[], ${takes}::int[]) as c (room, cursor, take)
      join rooms r on r.id = c.room
      -- checked again: the membership may have ended since the heads were read
      join ${membership(sql, user)}
      cross join lateral (
        select z.*, coalesce(octet_length(z.text), 0) + coalesce(octet_length(z.changes), 0)
          + coalesce(octet_length(z.thread), 0) as bytes
        from (
          select y.*, y.body::text as text
          from (
            select ${messageColumns(sql, user)}
            from messages t where t.room_id collate "POSIX" = c.room and t.rev > c.cursor order by t.rev limit c.take
          ) y
          offset 0
        ) z
      ) x
      left join users u on u.id = x.from
    ) page
    where passed < ${bytes} order by room, rev`;
}

function groupByRoom(rows: readonly ChangedRow[]): Map<string, ChangedRow[]> {
  const groups = new Map<string, ChangedRow[]>();
  for (const row of rows) {
    const group = groups.get(row.room);
    if (group === undefined) groups.set(row.room, [row]);
    else group.push(row);
  }
  return groups;
}
