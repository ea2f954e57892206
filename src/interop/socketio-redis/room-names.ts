/** The kinds of room names that back ends use. In Socket.IO every addressee is a room. */
import { events } from '../../protocol/events.ts';
import { roomIdPattern } from '../../protocol/model.ts';

/**
 * - session: one connection, by its public id, which begins with `~`
 * - user: all connections of a user
 * - room: the connections of a room's members, as Postgres has them
 * - free: a name that no room id can have, such as `/orders/17`; back ends put connections into it
 */
export type RoomNameKind = 'session' | 'user' | 'room' | 'free';

export const userPrefix = 'user:';
const sessionPrefix = '~';

export function roomNameKind(name: string): RoomNameKind {
  if (name.startsWith(sessionPrefix)) return 'session';
  if (name.startsWith(userPrefix)) return 'user';
  return roomIdPattern.test(name) ? 'room' : 'free';
}

/** Letters in the name of a free room. */
export const maxFreeNameLength = 256;

/** Events of Parley, with one that is planned, and the names that Socket.IO reserves. */
export const reservedEvents: ReadonlySet<string> = new Set([
  ...Object.keys(events),
  'notification',
  'connect',
  'connect_error',
  'disconnect',
  'disconnecting',
  'newListener',
  'removeListener',
]);
