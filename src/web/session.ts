/** Who we are: a guest that the server made, or the bearer of a token that somebody else issued. Survives a reload. */
import { signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import { readStored, writeStored } from './storage.ts';

export interface Session {
  readonly token: string;
}

const key = 'parley.session';

/** A session, or why there is none any more; neither: its user signed out, or nobody was signed in. */
interface Kept {
  readonly session?: Session;
  readonly notice?: string;
}

function restored(): Kept {
  const stored = readStored(localStorage, key);
  if (typeof stored !== 'object' || stored === null) return {};
  if ('token' in stored && typeof stored.token === 'string') return { session: { token: stored.token } };
  return 'notice' in stored && typeof stored.notice === 'string' ? { notice: stored.notice } : {};
}

const before = restored();
const held = signal<Session | undefined>(before.session);

export const session: ReadonlySignal<Session | undefined> = held;

/** Why the last session ended, for the sign-in form to say. */
export const notice = signal<string | undefined>(before.notice);

export function keepSession(next: Session): void {
  writeStored(localStorage, key, next);
  notice.value = undefined;
  held.value = next;
}

/** @param reason of one that its user did not end; the other tabs are told, for they are put out too */
export function endSession(reason?: string): void {
  writeStored(localStorage, key, reason === undefined ? undefined : { notice: reason });
  notice.value = reason;
  held.value = undefined;
}

/** Signed in or out in another tab: so are we. */
addEventListener('storage', (event) => {
  if (event.key !== key) return;
  const { session: next, notice: reason } = restored();
  // First the reason: without one the end of a session is its user's wish, and what waits to be sent is deleted.
  notice.value = reason;
  if (next?.token !== held.value?.token) held.value = next;
});

/** `closed`: this server lets nobody in without a token. */
export async function signInAsGuest(name: string): Promise<'done' | 'closed'> {
  const answer = await fetch('api/v1/auth/guest', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name }),
  });
  if (answer.status === 403 || answer.status === 404) return 'closed';
  const body = (await answer.json().catch(() => ({}))) as Record<string, unknown>;
  if (answer.ok && typeof body['token'] === 'string') {
    keepSession({ token: body['token'] });
    return 'done';
  }
  const said = body['message'] ?? body['detail'] ?? body['title'];
  throw new Error(typeof said === 'string' ? said : `The server answered ${answer.status}.`);
}
