/**
 * Join links: `#join=<token>`. The page keeps a token until there is a session and its user has agreed, because any web
 * page may contain such a link.
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

/** A new object each time: the same link may be opened again. */
const wanted = signal<JoinLink | undefined>(undefined);
/** An opened link, until the server has accepted or refused it. */
export const joinLink: ReadonlySignal<JoinLink | undefined> = wanted;
function take(): void {
  if (!location.hash.startsWith(prefix)) return;
  wanted.value = { token: location.hash.slice(prefix.length) };
  // The token is a secret, so it leaves the address and the browser's history.
  history.replaceState(null, '', '#/');
}
take();
addEventListener('hashchange', take);

export function joinAddress(token: string): string {
  return `${new URL('.', location.href).href}${prefix}${token}`;
}

/** The user declined. */
export function dropJoinLink(): void {
  wanted.value = undefined;
}

/** Uses the link after the user has agreed. Rejects if the server does not accept it. */
export async function followJoinLink(client: Client, link: JoinLink): Promise<void> {
  try {
    const { room } = await client.call('link:join', link);
    if (wanted.peek() === link) wanted.value = undefined;
    showRoom(room.id);
    say(`Welcome to ${titleOf(room)}.`);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    // The server gave no decision. The dialog stays, because the address has lost the token already.
    if (thrown instanceof ParleyError && thrown.retryable)
      throw new Error(`This link cannot be used now: ${why}`, { cause: thrown });
    if (wanted.peek() === link) wanted.value = undefined;
    say(`This link does not work: ${why}`);
  }
}
