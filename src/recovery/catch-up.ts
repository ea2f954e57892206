/**
 * Catch-up of a client by `sync`. The replay buffers serve the rooms that this node follows for the user, and Postgres serves
 * the others.
 *
 * A read of Postgres has two statements, whatever the number of rooms. The
 * first reads heads, which decide how many rows each room may take of the page. The second reads the rows, with the heads
 * of its own snapshot. A row may change between the two and pass the first head. A page that ended at the first head would
 * lack that row, and the event of the change does not carry the message itself. A large page has more such statements
 * (changed-rows.ts).
 */
import type { postgres } from '../storage/sql.ts';
import type { ParsedInput } from '../protocol/commands.ts';
import type { RoomSummary } from '../protocol/model.ts';
import { messageJson } from '../messages/message-json.ts';
import { membership } from '../rooms/access.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { changedRows, type RoomShare } from './changed-rows.ts';
import { fromReplay, type LiveRooms } from './replay-buffer.ts';

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
  const byRoom = await changedRows(sql, user, behind, input.bytes);
  // The revs up to the head may have no row. With `more` a client would send `sync` again and again. If other rooms have
  // rows, these may have left no space; the page after theirs then decides.
  const none = byRoom.size === 0;
  let more = false;
  const reachedHeads: Head[] = [];
  const rooms = shares.map(({ room, cursor, head, purged, take }) => {
    const changed = byRoom.get(room);
    const found = changed?.rows ?? [];
    if (cursor > head || cursor < Math.max(purged, changed?.purged ?? 0)) {
      reachedHeads.push({ id: room, rev: head });
      return `"${room}":{"messages":[],"rev":${head},"more":false,"reset":true}`;
    }
    const headNow = changed?.head ?? head;
    const whole = changed?.whole ?? (none && take > 0);
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
function share(found: HeadRow[], cursors: Record<string, number>, limit: number): RoomShare[] {
  let left = limit;
  return found.map(({ id, last_rev: head, purged_rev: purged }) => {
    const cursor = cursors[id] ?? 0;
    const take = cursor < purged ? 0 : Math.max(0, Math.min(left, head - cursor));
    left -= take;
    return { room: id, cursor, head, purged, take };
  });
}
