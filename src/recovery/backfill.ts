/** Reads for a node that missed events of its rooms: heads to compare with its own, and the events after a rev. */
import type { postgres } from '../storage/sql.ts';
import type { RoomEvent } from '../fanout/fanout.ts';
import { behindJson } from '../messages/behind.ts';
import { messageColumns } from '../messages/message-columns.ts';
import { messageJson, type StoredMessage } from '../messages/message-json.ts';

export interface BackfilledEvent extends RoomEvent {
  readonly rev: number;
  /** The time of the commit, in milliseconds since 1970. */
  readonly at: number;
}

export interface Backfilled {
  /** The room's rev, of the same snapshot as the events. */
  readonly head: number;
  /** In rev order. Revs may have holes: a row has its present state, and a later change gave it a later rev. */
  readonly events: readonly BackfilledEvent[];
  /** False: more events follow, up to the head. */
  readonly complete: boolean;
}

/** A message may have 16 KiB, and a page is written to all connections of the room at once. */
const pageSize = 100;
const headsChunk = 10_000;

/** Events after `rev`, a page of them. @returns undefined if there is no such room. */
export async function readBackfill(sql: postgres.Sql, room: string, rev: number): Promise<Backfilled | undefined> {
  const rows = await sql<
    ({ head: number; purged: number } & { [K in keyof StoredMessage]: StoredMessage[K] | null })[]
  >`
    select r.last_rev as head, r.purged_rev as purged, x.*
    from rooms r
    left join lateral (
      select ${messageColumns(sql, undefined)}, u.name
      from messages t left join users u on u.id = t.sender_id
      where t.room_id collate "POSIX" = ${room} and t.rev > ${rev} order by t.rev limit ${pageSize}
    ) x on true
    where r.id = ${room} order by x.rev`;
  const [first] = rows;
  if (first === undefined) return undefined;
  const found = rows.filter((row) => row.seq !== null) as unknown as StoredMessage[];
  const complete = found.length < pageSize;
  const events = eventsOf(found);
  const { head, purged } = first;
  const reached = complete ? head : (found.at(-1)?.rev ?? rev);
  if (purged > rev && purged <= reached) addExpiry(events, room, purged);
  return { head, events, complete };
}

/** Events of the revs of one commit, without those whose messages have changed since. */
export async function eventsBetween(
  sql: postgres.ISql,
  room: string,
  from: number,
  to: number,
): Promise<BackfilledEvent[]> {
  const rows = await sql<StoredMessage[]>`
    select ${messageColumns(sql, undefined)}, u.name
    from messages t left join users u on u.id = t.sender_id
    where t.room_id collate "POSIX" = ${room} and t.rev between ${from} and ${to} order by t.rev`;
  const events = eventsOf(rows);
  const expired = await sql<{ purged: number }[]>`
    select purged_rev as purged from rooms where id = ${room} and purged_rev between ${from} and ${to}`;
  for (const { purged } of expired) addExpiry(events, room, purged);
  return events;
}

/** An expiry takes a rev and has no row: the room gets `behind`, pulls, and gets `reset`. */
function addExpiry(events: BackfilledEvent[], room: string, rev: number): void {
  const at = events.findIndex((event) => event.rev > rev);
  const json = behindJson({ room, head: rev });
  events.splice(at === -1 ? events.length : at, 0, { to: 'room', room, event: 'behind', rev, json, at: Date.now() });
}

/** The rev of each of the rooms that exists. */
export async function headsOf(sql: postgres.Sql, rooms: readonly string[]): Promise<{ room: string; head: number }[]> {
  const heads: { room: string; head: number }[] = [];
  for (let from = 0; from < rooms.length; from += headsChunk) {
    const ids = rooms.slice(from, from + headsChunk);
    const rows = await sql<{ room: string; head: number }[]>`
      select id as room, last_rev as head from rooms where id = any (${ids}::text[])`;
    heads.push(...rows);
  }
  return heads;
}

/**
 * The row of an unchanged message is its event. The row of a changed message does not show the last change: the room gets
 * `behind` and pulls. Several such rows in sequence make one `behind`.
 */
function eventsOf(rows: readonly StoredMessage[]): BackfilledEvent[] {
  const events: BackfilledEvent[] = [];
  for (const row of rows) {
    const { room, rev, at } = row;
    const isChanged = typeof row.changes === 'string';
    if (isChanged && events.at(-1)?.event === 'behind') events.pop();
    const event = isChanged ? 'behind' : 'message';
    const json = isChanged ? behindJson({ room, head: rev }) : messageJson(row);
    events.push({ to: 'room', room, event, rev, json, at });
  }
  return events;
}
