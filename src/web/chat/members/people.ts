/** The names of all users that this page has received, for events that carry only an id. */
import { signal } from '@preact/signals';
import { limits } from '../../../client/index.ts';
import type { Client, Member } from '../../../client/index.ts';

const names = new Map<string, string>();
/** Changes with each new name, so that components that show an id render again. */
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

/** For rendering: the component renders again when the name is known. */
export function knownName(id: string): string | undefined {
  return learnt.value < 0 ? undefined : names.get(id);
}

/** Not for rendering: there is no update after a change. */
export function isKnown(id: string): boolean {
  return names.has(id);
}

/** For rendering, like `knownName`. */
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

/** All users whose name is known, without this user. */
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

/** Adds the members of the ten latest rooms, the first hundred of each. */
export async function peopleAround(client: Client): Promise<Known[]> {
  const rooms = client.rooms.value;
  learnNames(rooms.flatMap(({ peer }) => peer ?? []));
  const shared = rooms.filter(({ kind }) => kind !== 'direct').slice(0, maxRooms);
  const found = new Set<string>();
  // One request after the other, because the server limits simultaneous ones.
  for (const { id } of shared) {
    try {
      const { members } = await client.call('room:members', { room: id, limit: limits.pageSize });
      learnMembers(members);
      for (const { user } of members) found.add(user);
    } catch {
      // The room was left meanwhile; the others are still useful. Without a connection every request would fail.
      if (client.state.value.status !== 'connected') break;
    }
  }
  return listed([...new Set([...names.keys(), ...found])], client);
}
