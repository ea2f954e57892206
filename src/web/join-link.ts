/** Addresses that let somebody into a room: `#join=<token>`. Kept until there is a session to join with. */
import { signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import type { Client } from '../client/index.ts';
import { titleOf } from './rooms.ts';
import { showRoom } from './route.ts';
import { say } from './toast.tsx';

const prefix = '#join=';

const wanted = signal<string | undefined>(undefined);
/** The token of a link that was opened, until it is used. */
export const joinToken: ReadonlySignal<string | undefined> = wanted;

function take(): void {
  if (!location.hash.startsWith(prefix)) return;
  wanted.value = location.hash.slice(prefix.length);
  // The token is a secret of those who have it: out of the address, and so of the history.
  history.replaceState(null, '', '#/');
}
take();
addEventListener('hashchange', take);

export function joinAddress(token: string): string {
  return `${new URL('.', location.href).href}${prefix}${token}`;
}

/** Uses the link, if there is one. @returns whether it led into a room */
export async function followJoinLink(client: Client): Promise<boolean> {
  const token = wanted.value;
  if (token === undefined) return false;
  wanted.value = undefined;
  try {
    const { room } = await client.call('link:join', { token });
    showRoom(room.id);
    say(`Welcome to ${titleOf(room)}.`);
    return true;
  } catch (thrown) {
    say(`This link does not let you in: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    return false;
  }
}
