/** Who we are: a guest that the server made, or the bearer of a token that somebody else issued. Survives a reload. */
import { signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import { readStored, writeStored } from './storage.ts';

export interface Session {
  readonly token: string;
}

const key = 'parley.session';

function restored(): Session | undefined {
  const stored = readStored(localStorage, key);
  const whole = typeof stored === 'object' && stored !== null && 'token' in stored && typeof stored.token === 'string';
  return whole ? { token: stored.token as string } : undefined;
}

const held = signal<Session | undefined>(restored());

export const session: ReadonlySignal<Session | undefined> = held;

/** Why the last session ended, for the sign-in form to say. */
export const notice = signal<string | undefined>(undefined);

export function keepSession(next: Session): void {
  writeStored(localStorage, key, next);
  notice.value = undefined;
  held.value = next;
}

export function endSession(reason?: string): void {
  writeStored(localStorage, key, undefined);
  notice.value = reason;
  held.value = undefined;
}

/** Signed in or out in another tab: so are we. */
addEventListener('storage', (event) => {
  if (event.key !== key) return;
  const next = restored();
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
