/** What we may do in a room, by the server's own table: docs/rooms.md is printed from it. */
import type { Message, Role, RoomSummary } from '../../client/index.ts';
import { actions, below, gives, may } from '../../protocol/permissions.ts';
import type { ActionName } from '../../protocol/permissions.ts';

type OwnRole = Pick<RoomSummary, 'kind' | 'role' | 'archived'>;

export function mayIn(room: OwnRole | undefined, action: ActionName): boolean {
  if (room === undefined || room.role === null) return false;
  return may(action, room.kind, room.role) && (room.archived === undefined || actions[action].archived);
}

export function mayPin(room: OwnRole | undefined): boolean {
  return mayIn(room, 'pin');
}

/** What we may do with the messages of a room. */
export interface MessageRights {
  /** There is a field to write in. */
  readonly write: boolean;
  readonly react: boolean;
  readonly takeBack: boolean;
  /** Our own ones. */
  readonly edit: boolean;
  readonly delete: boolean;
  /** From when they were sent, in ms; the room's, for the server does not tell its own. */
  readonly editWithin: number;
  /** Delete those of others. */
  readonly moderate: boolean;
  readonly pin: boolean;
}

/**
 * @param silent nothing can be written in it now, and nothing that was written can be edited
 * @param muted the server takes no reactions of ours either
 */
export function messageRights(
  room: (OwnRole & Pick<RoomSummary, 'editWindow'>) | undefined,
  silent: boolean,
  muted: boolean,
): MessageRights {
  const [own, react, moderate] = [mayIn(room, 'own'), mayIn(room, 'react'), mayIn(room, 'moderate')];
  const window = room?.editWindow ?? 0;
  return {
    write: !silent && mayIn(room, 'send'),
    react: react && !muted,
    takeBack: react,
    edit: own && !silent,
    delete: own,
    editWithin: window === 0 || moderate ? Infinity : window * 1000,
    moderate,
    pin: mayPin(room),
  };
}

export type Offer = 'react' | 'reply' | 'thread' | 'pin' | 'unpin' | 'edit' | 'delete';

interface Offered {
  readonly message: Pick<Message, 'deletedAt' | 'pinnedAt' | 'thread'>;
  readonly mine: boolean;
  /** It has a text, and the time to edit it is not over. */
  readonly editable: boolean;
  readonly inThread: boolean;
}

/** What is offered to do with a message, in the order in which it is shown. */
export function offersFor({ message, mine, editable, inThread }: Offered, rights: MessageRights): Offer[] {
  if (message.deletedAt !== undefined) return [];
  const offers: Record<Offer, boolean> = {
    react: rights.react,
    reply: rights.write,
    // Where nothing can be written there is only what was.
    thread: !inThread && (rights.write || message.thread !== undefined),
    pin: rights.pin && message.pinnedAt === undefined,
    unpin: rights.pin && message.pinnedAt !== undefined,
    edit: mine && editable && rights.edit,
    delete: mine ? rights.delete : rights.moderate,
  };
  return (Object.keys(offers) as Offer[]).filter((name) => offers[name]);
}

/** Whether a member of that role stands below us. */
export function isBelow(room: OwnRole | undefined, role: Role): boolean {
  return room?.role !== undefined && room.role !== null && below[room.role].includes(role);
}

/** The roles that we may give, the highest first. */
export function givenBy(room: OwnRole | undefined): readonly Exclude<Role, 'owner'>[] {
  if (room?.role === undefined || room.role === null) return [];
  return gives[room.role].filter((role) => role !== 'owner');
}
