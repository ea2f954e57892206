/** What we may do in a room, by the server's own table: docs/rooms.md is printed from it. */
import type { Role, RoomSummary } from '../client/index.ts';
import { actions, below, gives, may } from '../messaging/roles.ts';
import type { ActionName } from '../messaging/roles.ts';

type Standing = Pick<RoomSummary, 'kind' | 'role' | 'archived'>;

export function mayIn(room: Standing | undefined, action: ActionName): boolean {
  if (room === undefined || room.role === null) return false;
  return may(action, room.kind, room.role) && (room.archived === undefined || actions[action].archived);
}

export function mayPin(room: Standing | undefined): boolean {
  return mayIn(room, 'pin');
}

/** Whether a member of that role stands below us. */
export function isBelow(room: Standing | undefined, role: Role): boolean {
  return room?.role !== undefined && room.role !== null && below[room.role].includes(role);
}

/** The roles that we may give, the highest first. */
export function givenBy(room: Standing | undefined): readonly Exclude<Role, 'owner'>[] {
  if (room?.role === undefined || room.role === null) return [];
  return gives[room.role].filter((role) => role !== 'owner');
}
