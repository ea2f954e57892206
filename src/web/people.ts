/** Names of people seen anywhere on this page, so that a signal, which carries an id only, can be shown. */
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

/** Everybody whose name is known, but not oneself. */
export function knownPeople(client: Client): { id: string; name: string }[] {
  const me = client.user.value?.id;
  return Array.from(names, ([id, name]) => ({ id, name }))
    .filter(({ id }) => id !== me)
    .sort((a, b) => a.name.localeCompare(b.name));
}
