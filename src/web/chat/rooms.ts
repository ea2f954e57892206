/** The titles of rooms, and the join of the general room. */
import { ParleyError } from '../../client/index.ts';
import type { Client, RoomSummary } from '../../client/index.ts';
import { nameOf } from './members/people.ts';
import { readStored, writeStored } from '../ui/storage.ts';

export const generalId = 'general';

export function titleOf(room: Pick<RoomSummary, 'kind' | 'name' | 'peer' | 'id'>): string {
  // The server sends the peer's name only after they have accepted; this page may know it already.
  if (room.kind === 'direct') return room.peer === undefined ? 'Direct messages' : nameOf(room.peer.id, room.peer.name);
  return room.name ?? room.id;
}

/** Joins `general` on the first visit only: a user that left it wanted to leave. */
export async function enterGeneral(client: Client): Promise<boolean> {
  const visited = `parley.visited.${client.user.value?.id ?? ''}`;
  const known = client.rooms.value.some(({ id }) => id === generalId);
  if (known || readStored(localStorage, visited) === true) return false;
  try {
    await joinOrCreate(client);
    writeStored(localStorage, visited, true);
    return true;
  } catch {
    // On a server where users cannot create channels there may be no general room.
    return false;
  }
}

async function joinOrCreate(client: Client): Promise<void> {
  try {
    await client.joinRoom(generalId);
  } catch (error) {
    if (!(error instanceof ParleyError) || error.code !== 'not_found') throw error;
    try {
      await client.createRoom({ kind: 'channel', id: generalId, name: generalId });
    } catch {
      // Another user created it in the same moment.
      await client.joinRoom(generalId);
    }
  }
}
