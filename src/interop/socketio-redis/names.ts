/** What the names that backend services use mean here. */
import { events } from '../../protocol/events.ts';
import { roomIdPattern } from '../../protocol/model.ts';

/**
 * session: one connection, by its public id, which begins with `~`
 * user: all connections of a user
 * room: the connections of a room's members, which only Postgres decides
 * free: any name that can be no room id, such as `/orders/17`: backend services decide who is in it
 */
export type NameKind = 'session' | 'user' | 'room' | 'free';

export const userPrefix = 'user:';
const sessionPrefix = '~';

export function kindOf(name: string): NameKind {
  if (name.startsWith(sessionPrefix)) return 'session';
  if (name.startsWith(userPrefix)) return 'user';
  return roomIdPattern.test(name) ? 'room' : 'free';
}

/** Letters of a free room's name. */
export const maxFreeNameLength = 256;

/** Parley's own events, also the one that is still to come, and what Socket.IO keeps for itself. */
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
