/**
 * The changes that end cached values: every event of the protocol, and every change that is no event. A part that commits a change calls
 * `invalidate` with these targets after the commit. A node that receives an event of another node may do so too. The event
 * reaches the node from Postgres even where the bus lost the invalidation.
 *
 * `waits` names the kinds that the change makes older, and that end by their time alone. Otherwise each message would end the
 * values of every member. A minute is the longest of these times.
 */
import type { EventData, EventName } from '../../protocol/events.ts';
import type { KindName, Target } from './kinds.ts';

export interface Rule<D> {
  /** Why the event changes no cached value; absent if it does. */
  readonly nothing?: string;
  readonly targets: (data: D) => readonly Target[];
  readonly waits?: readonly KindName[];
}

function nothing(why: string): Rule<unknown> {
  return { nothing: why, targets: () => [] };
}

/** A change of the room's rev. */
const ofRev: Rule<{ readonly room: string }> = {
  targets: ({ room }) => [{ kind: 'roomHead', id: [room] }],
  waits: ['roomList', 'channelSearch'],
};

const ofMessages: Rule<{ readonly room: string }> = { ...ofRev, waits: ['roomList', 'unread', 'channelSearch'] };

export const invalidationsOfEvents: { readonly [E in EventName]: Rule<EventData<E>> } = {
  message: ofMessages,
  'message:updated': ofRev,
  'message:deleted': ofMessages,
  pin: ofRev,
  reaction: ofRev,
  'room:purged': ofMessages,
  member: {
    targets: ({ room, user }) => [
      { kind: 'membership', id: [room, user] },
      { kind: 'roomHead', id: [room] },
      // the event has the present name of the user
      { kind: 'user', id: [user] },
      `lists:${user}`,
    ],
    waits: ['channelSearch'],
  },
  room: { targets: ({ room }) => [`room:${room}`] },
  read: { targets: ({ user }) => [`lists:${user}`] },
  mention: nothing('Mentions are not cached.'),
  thread: nothing('Threads and their marks are not cached.'),
  invitation: nothing('Invitations are not cached; an accepted one comes with a member event.'),
  delivered: nothing('Delivered marks are not cached.'),
  ready: nothing('The event describes a connection.'),
  behind: nothing('The event describes a connection.'),
  drain: nothing('The event describes a connection.'),
  presence: nothing('Presence is not cached.'),
  'session:revoked': nothing('The event is for one connection; the revocation itself is a change below.'),
  signal: nothing('Signals are not stored.'),
  'signal:direct': nothing('Signals are not stored.'),
};

/** Changes that no event reports. */
export const invalidationsOfChanges = {
  /** A key was made, changed, rotated or revoked. */
  apiKey: (key: string): readonly Target[] => [`key:${key}`],
  /** Another name, or other facts of the user. */
  user: (user: string): readonly Target[] => [`user:${user}`],
  /** The data of the user was deleted. */
  userForgotten: (user: string): readonly Target[] => [`user:${user}`, `lists:${user}`, `sessions:${user}`],
  /** Tokens or sessions of the user were revoked. */
  sessions: (user: string): readonly Target[] => [`sessions:${user}`],
  /** A room was made, or its members were changed in bulk. */
  room: (room: string): readonly Target[] => [`room:${room}`],
  /** A channel was made or renamed, so that searches may find it. */
  channels: (): readonly Target[] => ['kind:channelSearch'],
  /** A token was signed with a key that the cached set lacks. */
  keySet: (url: string): readonly Target[] => [{ kind: 'keySet', id: [url] }],
} as const;

export function invalidationsOf<E extends EventName>(name: E, data: EventData<E>): readonly Target[] {
  return invalidationsOfEvents[name].targets(data);
}
