/**
 * Addresses that let somebody into a room: `#join=<token>`. Kept until there is a session to join with and its user has
 * agreed: anybody may write such an address into a page.
 */
import { signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import { ParleyError } from '../../client/index.ts';
import type { Client } from '../../client/index.ts';
import { titleOf } from './rooms.ts';
import { showRoom } from './route.ts';
import { say } from '../ui/toast.tsx';

const prefix = '#join=';

export interface JoinLink {
  readonly token: string;
}

/** An object each time: the same link may be opened again. */
const wanted = signal<JoinLink | undefined>(undefined);
/** A link that was opened, until the server has said whether it lets us in. */
export const joinLink: ReadonlySignal<JoinLink | undefined> = wanted;
function take(): void {
  if (!location.hash.startsWith(prefix)) return;
  wanted.value = { token: location.hash.slice(prefix.length) };
  // The token is a secret of those who have it: out of the address, and so of the history.
  history.replaceState(null, '', '#/');
}
take();
addEventListener('hashchange', take);

export function joinAddress(token: string): string {
  return `${new URL('.', location.href).href}${prefix}${token}`;
}

/** The user does not want to. */
export function dropJoinLink(): void {
  wanted.value = undefined;
}

/** Uses the link that the user has agreed to. Rejects where the server does not let us in. */
export async function followJoinLink(client: Client, link: JoinLink): Promise<void> {
  try {
    const { room } = await client.call('link:join', link);
    if (wanted.peek() === link) wanted.value = undefined;
    showRoom(room.id);
    say(`Welcome to ${titleOf(room)}.`);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    // That was no answer: the question stays, since the address has lost the token already.
    if (thrown instanceof ParleyError && thrown.retryable)
      throw new Error(`This link cannot be used just now: ${why}`, { cause: thrown });
    if (wanted.peek() === link) wanted.value = undefined;
    say(`This link does not let you in: ${why}`);
  }
}
