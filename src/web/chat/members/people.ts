/** Names of people seen anywhere on this page, so that a signal, which carries an id only, can be shown. */
import { signal } from '@preact/signals';
import { limits } from '../../../client/index.ts';
import type { Client, Member } from '../../../client/index.ts';

const names = new Map<string, string>();
/** Moves when a name is new, so that what shows one by its id alone is drawn again. */
const learnt = signal(0);

export function learnNames(people: readonly { id: string; name: string | null }[]): void {
  let isNew = false;
  for (const { id, name } of people) {
    if (name === null || names.get(id) === name) continue;
    names.set(id, name);
    isNew = true;
  }
  if (isNew) learnt.value = learnt.peek() + 1;
}

/** For drawing: who asks is drawn again when more is known. */
export function knownName(id: string): string | undefined {
  return learnt.value < 0 ? undefined : names.get(id);
}

/** Not for drawing: the answer is that of this moment. */
export function isKnown(id: string): boolean {
  return names.has(id);
}

/** For drawing, as `knownName`. */
export function nameOf(id: string, name?: string | null): string {
  return name ?? knownName(id) ?? id;
}

export function learnMembers(members: readonly Member[]): void {
  learnNames(members.map(({ user, name }) => ({ id: user, name })));
}

export interface Known {
  readonly id: string;
  readonly name: string;
}

/** Everybody whose name was seen on this page, but not oneself. */
export function knownPeople(client: Client): Known[] {
  return listed([...names.keys()], client);
}

function listed(ids: readonly string[], client: Client): Known[] {
  const me = client.user.value?.id;
  return ids
    .filter((id) => id !== me)
    .map((id) => ({ id, name: nameOf(id) }))
    .sort((a, b) => a.name.localeCompare(b.name));
}

const maxRooms = 10;

/** And those of the ten rooms used last, of each the first hundred. */
export async function peopleAround(client: Client): Promise<Known[]> {
  const rooms = client.rooms.value;
  learnNames(rooms.flatMap(({ peer }) => peer ?? []));
  const shared = rooms.filter(({ kind }) => kind !== 'direct').slice(0, maxRooms);
  const found = new Set<string>();
  // One after the other: so many at once would be refused.
  for (const { id } of shared) {
    try {
      const { members } = await client.call('room:members', { room: id, limit: limits.pageSize });
      learnMembers(members);
      for (const { user } of members) found.add(user);
    } catch {
      // Left meanwhile: the others are still worth showing. Without a connection none would answer.
      if (client.state.value.status !== 'connected') break;
    }
  }
  return listed([...new Set([...names.keys(), ...found])], client);
}
