/** The permissions of this user in a room, by the server's own table; docs/rooms.md is printed from the same table. */
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

/** The permissions on the messages of a room. */
export interface MessageRights {
  /** The room has a field for new messages. */
  readonly write: boolean;
  readonly react: boolean;
  readonly takeBack: boolean;
  /** Applies to own messages. */
  readonly edit: boolean;
  readonly delete: boolean;
  /**
   * The time limit for edits after sending, in ms. The room's own one, because the server does not send its default.
   */
  readonly editWithin: number;
  /** Applies to messages of other users. */
  readonly moderate: boolean;
  readonly pin: boolean;
}

/** @param silent the user cannot write or edit now @param muted the server also refuses reactions of this user */
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
  /** The message has a text, and the time limit for edits is not over. */
  readonly editable: boolean;
  readonly inThread: boolean;
}

/** The actions on a message, in the order of display. */
export function offersFor({ message, mine, editable, inThread }: Offered, rights: MessageRights): Offer[] {
  if (message.deletedAt !== undefined) return [];
  const offers: Record<Offer, boolean> = {
    react: rights.react,
    reply: rights.write,
    // Where the user cannot write, only an existing thread can be opened.
    thread: !inThread && (rights.write || message.thread !== undefined),
    pin: rights.pin && message.pinnedAt === undefined,
    unpin: rights.pin && message.pinnedAt !== undefined,
    edit: mine && editable && rights.edit,
    delete: mine ? rights.delete : rights.moderate,
  };
  return (Object.keys(offers) as Offer[]).filter((name) => offers[name]);
}

/** Whether that role is below the role of this user. */
export function isBelow(room: OwnRole | undefined, role: Role): boolean {
  return room?.role !== undefined && room.role !== null && below[room.role].includes(role);
}

/** The roles that this user may assign, the highest first. */
export function givenBy(room: OwnRole | undefined): readonly Exclude<Role, 'owner'>[] {
  if (room?.role === undefined || room.role === null) return [];
  return gives[room.role].filter((role) => role !== 'owner');
}
