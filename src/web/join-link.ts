/** Addresses that let somebody into a room: `#join=<token>`. Kept until there is a session to join with. */
import { signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import { ParleyError } from '../client/index.ts';
import type { Client } from '../client/index.ts';
import { titleOf } from './rooms.ts';
import { showRoom } from './route.ts';
import { say } from './toast.tsx';

const prefix = '#join=';

interface JoinLink {
  readonly token: string;
}

/** An object each time: the same link may be opened again. */
const wanted = signal<JoinLink | undefined>(undefined);
/** A link that was opened, until the server has said whether it lets us in. */
export const joinLink: ReadonlySignal<JoinLink | undefined> = wanted;
let asked: JoinLink | undefined;

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

/** Uses the link, if there is one. @returns whether it led into a room */
export async function followJoinLink(client: Client): Promise<boolean> {
  const link = wanted.value;
  if (link === undefined || link === asked) return false;
  asked = link;
  const answered = (): void => {
    if (wanted.value === link) wanted.value = undefined;
  };
  try {
    const { room } = await client.call('link:join', link);
    answered();
    showRoom(room.id);
    say(`Welcome to ${titleOf(room)}.`);
    return true;
  } catch (thrown) {
    // That was no answer: the address has lost the token already, and the next connection asks again.
    const later = thrown instanceof ParleyError && thrown.retryable;
    if (!later) answered();
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    say(later ? `This link cannot be used just now: ${why}` : `This link does not let you in: ${why}`);
    return false;
  } finally {
    if (asked === link) asked = undefined;
  }
}
