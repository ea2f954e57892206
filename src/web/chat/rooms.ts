/** What a room is called, and the way into the room that everybody meets in. */
import { ParleyError } from '../../client/index.ts';
import type { Client, RoomSummary } from '../../client/index.ts';
import { nameOf } from './members/people.ts';
import { readStored, writeStored } from '../ui/storage.ts';

export const generalId = 'general';

export function titleOf(room: Pick<RoomSummary, 'kind' | 'name' | 'peer' | 'id'>): string {
  // the server gives the name only after they accepted; this page may know it from elsewhere
  if (room.kind === 'direct') return room.peer === undefined ? 'Direct messages' : nameOf(room.peer.id, room.peer.name);
  return room.name ?? room.id;
}

/** On the first visit only: who left `general` meant it. */
export async function enterGeneral(client: Client): Promise<boolean> {
  const visited = `parley.visited.${client.user.value?.id ?? ''}`;
  const known = client.rooms.value.some(({ id }) => id === generalId);
  if (known || readStored(localStorage, visited) === true) return false;
  try {
    await joinOrCreate(client);
    writeStored(localStorage, visited, true);
    return true;
  } catch {
    // A server that lets nobody make channels has no general room; the others are there.
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
      // Somebody else made it in the same moment.
      await client.joinRoom(generalId);
    }
  }
}
