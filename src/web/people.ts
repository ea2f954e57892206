/** Names of people seen anywhere on this page, so that a signal, which carries an id only, can be shown. */
import { limits } from '../client/index.ts';
import type { Client, Member } from '../client/index.ts';

const names = new Map<string, string>();

export function learnNames(people: readonly { id: string; name: string | null }[]): void {
  for (const { id, name } of people) if (name !== null) names.set(id, name);
}

export function nameOf(id: string, name?: string | null): string {
  return name ?? names.get(id) ?? id;
}

export function learnMembers(members: readonly Member[]): void {
  learnNames(members.map(({ user, name }) => ({ id: user, name })));
}

const maxAsked = 10;

/**
 * The people one shares a room with, but not oneself: those of the ten rooms used last, of each the first hundred, and
 * everybody whose name was seen on this page.
 */
export async function peopleAround(client: Client): Promise<{ id: string; name: string }[]> {
  const rooms = client.rooms.value;
  learnNames(rooms.flatMap(({ peer }) => peer ?? []));
  const shared = rooms.filter(({ kind }) => kind !== 'direct').slice(0, maxAsked);
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
  const me = client.user.value?.id;
  return [...new Set([...names.keys(), ...found])]
    .filter((id) => id !== me)
    .map((id) => ({ id, name: nameOf(id) }))
    .sort((a, b) => a.name.localeCompare(b.name));
}
