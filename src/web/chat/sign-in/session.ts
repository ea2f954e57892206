/** Who we are: a guest that the server made, or the bearer of a token that somebody else issued. Survives a reload. */
import { signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import { readStored, writeStored } from '../../ui/storage.ts';

export interface Session {
  readonly token: string;
  /** The server made it for a name: it is nowhere but here, and there is no way back to it. */
  readonly guest: boolean;
}

const key = 'parley.session';

/** A session, or why there is none any more; neither: its user signed out, or nobody was signed in. */
interface Kept {
  readonly session?: Session;
  readonly notice?: string;
  /** A token that somebody gave and that is not taken: to be mended, or to be compared with the right one. */
  readonly refused?: string;
}

function restored(): Kept {
  const stored = readStored(localStorage, key);
  if (typeof stored !== 'object' || stored === null) return {};
  if ('token' in stored && typeof stored.token === 'string') {
    const { token } = stored;
    // Sessions of earlier versions do not say it.
    const guest = 'guest' in stored && typeof stored.guest === 'boolean' ? stored.guest : isOfGuest(token);
    return { session: { token, guest } };
  }
  if (!('notice' in stored) || typeof stored.notice !== 'string') return {};
  const refused = 'refused' in stored && typeof stored.refused === 'string' ? stored.refused : undefined;
  return { notice: stored.notice, ...(refused !== undefined && { refused }) };
}

function isOfGuest(token: string): boolean {
  try {
    const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    const claims = JSON.parse(atob(payload)) as { sub?: unknown } | null;
    return typeof claims?.sub === 'string' && claims.sub.startsWith('guest-');
  } catch {
    return false;
  }
}

const before = restored();
const held = signal<Session | undefined>(before.session);

export const session: ReadonlySignal<Session | undefined> = held;

/** Why the last session ended, for the sign-in form to say. */
export const notice = signal<string | undefined>(before.notice);

/** The token of the last session, if somebody gave it and the server does not take it: the form shows it again. */
export const refusedToken = signal<string | undefined>(before.refused);

export function keepSession(next: Session): void {
  writeStored(localStorage, key, next);
  notice.value = undefined;
  refusedToken.value = undefined;
  held.value = next;
}

/** @param reason of one that its user did not end; the other tabs are told, for they are put out too */
export function endSession(reason?: string): void {
  const refused = reason !== undefined && held.peek()?.guest === false ? held.peek()?.token : undefined;
  writeStored(localStorage, key, reason === undefined ? undefined : { notice: reason, refused });
  notice.value = reason;
  refusedToken.value = refused;
  held.value = undefined;
}

/** Signed in or out in another tab: so are we. */
addEventListener('storage', (event) => {
  if (event.key !== key) return;
  const { session: next, notice: reason, refused } = restored();
  // First the reason: without one the end of a session is its user's wish, and what waits to be sent is deleted.
  notice.value = reason;
  refusedToken.value = refused;
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
    keepSession({ token: body['token'], guest: true });
    return 'done';
  }
  const { error } = body;
  const said = typeof error === 'object' && error !== null && 'message' in error ? error.message : undefined;
  throw new Error(typeof said === 'string' ? said : `The server answered ${answer.status}.`);
}
