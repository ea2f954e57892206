/** The newest message of each room that is not open, for lists of rooms to show. */
import { clientLimits as limits } from '../protocol/client-limits.ts';
import type { RequestFunction } from './request.ts';
import type { RoomList } from './room-list.ts';

/** Rooms whose newest message takes a command of its own. Rooms past this number are shown without one. */
const maxSinglePreviews = 50;

/**
 * One command for all rooms: `rev` is dense, so a sync from one before the head returns the last change. The last change
 * nearly always is the newest message. A room whose last change was an edit or a reaction to an older message takes a second command.
 */
export async function loadPreviews(
  connection: { request: RequestFunction },
  list: RoomList,
  open: ReadonlyMap<string, unknown>,
): Promise<void> {
  const wanted = list
    .unseen()
    .filter(({ id }) => !open.has(id))
    .slice(0, limits.syncRooms);
  if (wanted.length === 0) return;
  try {
    const { rooms } = await connection.request('sync', {
      cursors: Object.fromEntries(wanted.map(({ id, rev }) => [id, rev])),
      limit: limits.syncMessages,
    });
    list.saw(Object.values(rooms).flatMap((page) => page.messages));
    const left = wanted.filter(({ id, rev }) => rooms[id]?.more !== false || !list.refreshed(id, rev));
    for (const { id } of left.slice(0, maxSinglePreviews)) {
      const { messages } = await connection.request('history', { room: id, limit: 1 });
      list.renewed(id, messages[0]);
    }
  } catch {
    // A list without previews is still a list.
  }
}
