/**
 * The session of this user: a guest of the server, or the bearer of a token from elsewhere. The session survives a
 * reload.
 */
import { signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import { readStored, writeStored } from '../../ui/storage.ts';

export interface Session {
  readonly token: string;
  /** The server issued the token to a guest. The token exists only here, and there is no second one. */
  readonly guest: boolean;
}

const key = 'parley.session';

/** A session, or the reason for its end. Both are missing after a sign-out. */
interface Kept {
  readonly session?: Session;
  readonly notice?: string;
  /** A pasted token that the server refused, so that the user can correct or compare it. */
  readonly refused?: string;
}

function restored(): Kept {
  const stored = readStored(localStorage, key);
  if (typeof stored !== 'object' || stored === null) return {};
  if ('token' in stored && typeof stored.token === 'string') {
    const { token } = stored;
    // Sessions of earlier versions do not have the field.
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

/** The reason for the end of the last session, for the sign-in form. */
export const notice = signal<string | undefined>(before.notice);

/** The pasted token of the last session, if the server refused it: the form shows the token again. */
export const refusedToken = signal<string | undefined>(before.refused);

export function keepSession(next: Session): void {
  writeStored(localStorage, key, next);
  notice.value = undefined;
  refusedToken.value = undefined;
  held.value = next;
}

/** @param reason the reason, if the user did not end the session; the other tabs end it too */
export function endSession(reason?: string): void {
  const refused = reason !== undefined && held.peek()?.guest === false ? held.peek()?.token : undefined;
  writeStored(localStorage, key, reason === undefined ? undefined : { notice: reason, refused });
  notice.value = reason;
  refusedToken.value = refused;
  held.value = undefined;
}

/** Another tab signed in or out, and this tab follows. */
addEventListener('storage', (event) => {
  if (event.key !== key) return;
  const { session: next, notice: reason, refused } = restored();
  // The reason comes first: the end of a session without a reason is a sign-out, which deletes unsent messages.
  notice.value = reason;
  refusedToken.value = refused;
  if (next?.token !== held.value?.token) held.value = next;
});

/** `closed`: this server requires a token. */
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
  const { detail } = body;
  throw new Error(typeof detail === 'string' ? detail : `The server answered ${answer.status}.`);
}
