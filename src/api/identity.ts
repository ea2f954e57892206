/** The identity of the sender of a request, and the user for whom a command runs. */
import type { HttpRoute } from '../protocol/http-route.ts';
import type { Scope } from '../protocol/scopes.ts';
import { ParleyError } from '../protocol/errors.ts';
import { userId } from '../protocol/model.ts';
import type { Caller } from '../sessions/caller.ts';
import type { Identity as TokenIdentity } from '../sessions/tokens.ts';

/** The part of an API key that decides about requests. */
export interface KeyRights {
  readonly id: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Whether the key may use every room. */
  readonly everyRoom: boolean;
  readonly mayUseRoom: (room: string) => boolean;
  /** Requests an hour. */
  readonly perHour: number;
}

export type Identity =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'user'; readonly caller: Caller; readonly token: TokenIdentity }
  | {
      readonly kind: 'key';
      readonly key: KeyRights;
      /** The user that the request names. */ readonly user: string | undefined;
    };

/** The header by which a key names the user it acts for. */
export const userHeader = 'parley-user';

const noScope = (scope: Scope): ParleyError =>
  new ParleyError('forbidden', `The API key does not have the scope ${scope}.`);

/**
 * Checks the scope and the rooms of a key.
 * @throws {ParleyError} `unauthorized`, or `forbidden` with the missing right
 */
export function requireScope(identity: Identity, scope: Scope | null): void {
  if (identity.kind === 'anonymous') throw new ParleyError('unauthorized', 'A token or an API key is needed.');
  if (identity.kind === 'key' && scope !== null && !identity.key.scopes.has(scope)) throw noScope(scope);
}

/**
 * Checks that a key stays in its rooms. An input that names no room may reach all rooms of a user. Such an input
 * lists the rooms, makes a token for them, or blocks the other user of a direct room. Only a key for every room may send it.
 * @throws {ParleyError} `forbidden`
 */
export function requireRooms(identity: Identity, scope: Scope | null, rooms: readonly string[]): void {
  if (identity.kind !== 'key' || scope === null || identity.key.everyRoom) return;
  if (rooms.length === 0) {
    throw new ParleyError('forbidden', 'The API key is limited to some rooms, and the request names none.');
  }
  const outside = rooms.find((room) => !identity.key.mayUseRoom(room));
  if (outside !== undefined) throw new ParleyError('forbidden', `The API key may not use the room ${outside}.`);
}

/** The rooms that an input names. */
export function roomsOf(input: unknown): readonly string[] {
  const { room, id, kind, cursors } = (input ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof room === 'string') return [room];
  if (typeof cursors === 'object' && cursors !== null) return Object.keys(cursors);
  // a room that is created
  return typeof id === 'string' && typeof kind === 'string' ? [id] : [];
}

/** @throws {ParleyError} `invalid` */
export function userIn(header: string | undefined): string | undefined {
  if (header === undefined || header === '') return undefined;
  const parsed = userId.safeParse(header);
  if (!parsed.success) throw new ParleyError('invalid', 'Parley-User: this is not a user id.');
  return parsed.data;
}

export interface ActingParts {
  /** The stored name of a user; stores a user that is new. */
  readonly nameOf: (user: string) => Promise<string | null>;
  /** The owner of a room, or the member who joined first; undefined: nobody is in the room. */
  readonly ownerOf: (room: string) => Promise<string | undefined>;
}

/**
 * The caller of a command: the user of the token, the user whom a key names, or the owner of the room.
 * @throws {ParleyError} `unauthorized`, `invalid` or `not_found`
 */
export async function callerOf(
  identity: Identity,
  route: HttpRoute,
  rooms: readonly string[],
  { nameOf, ownerOf }: ActingParts,
): Promise<Caller> {
  if (identity.kind === 'anonymous') throw new ParleyError('unauthorized', 'A token or an API key is needed.');
  if (identity.kind === 'user') return identity.caller;
  const [room] = rooms;
  let { user } = identity;
  if (user === undefined && route.asOwner === true && room !== undefined) {
    user = await ownerOf(room);
    if (user === undefined) throw new ParleyError('not_found');
  }
  if (user === undefined) {
    throw new ParleyError('invalid', 'An API key acts for a user here: name the user in the header Parley-User.');
  }
  return { user: { id: user, name: await nameOf(user) }, tier: null, backend: true, session: undefined };
}
