/** Loads the names of mentioned users in the list of conversations, for rooms that were not opened yet. */
import type { Client, RoomEntry } from '../../../client/index.ts';
import { everybody, mentionsIn } from '../text/mentions.ts';
import { isKnown, learnMembers } from './people.ts';
import { textOf } from '../text/text.ts';

/** The number of rooms whose members are loaded in one connection, one room after the other. */
const maxRooms = 20;

/** @returns a function that ends it */
export function loadMemberNames(client: Client): () => void {
  const loaded = new Set<string>();
  let busy = false;
  let open = true;
  const loadNext = async (): Promise<void> => {
    if (busy || client.state.value.status !== 'connected') return;
    busy = true;
    try {
      for (let room = next(client, loaded); open && room !== undefined; room = next(client, loaded)) {
        loaded.add(room.id);
        learnMembers(await client.members(room.id));
      }
    } catch {
      // The room was left, or the connection was lost: the list shows the id until the room is opened.
    } finally {
      busy = false;
    }
  };
  const stops = [client.rooms.subscribe(() => void loadNext()), client.state.subscribe(() => void loadNext())];
  void loadNext();
  return () => {
    open = false;
    for (const stop of stops) stop();
  };
}

function next(client: Client, loaded: ReadonlySet<string>): RoomEntry | undefined {
  return loaded.size >= maxRooms
    ? undefined
    : client.rooms.value.find((room) => !loaded.has(room.id) && isNameless(room));
}

function isNameless({ last }: RoomEntry): boolean {
  if (last === undefined || last.deletedAt !== undefined) return false;
  if (last.name === null && !isKnown(last.from)) return true;
  const text = textOf(last.body).slice(0, 2000);
  return mentionsIn(text, () => true).some(({ id }) => id !== everybody && !isKnown(id));
}
