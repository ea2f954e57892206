/**
 * The changes that end cached values: every event of the protocol, and every change that is no event. The part that commits
 * a change calls `invalidate` with these targets after the commit, and answers afterwards.
 */
import type { EventData, EventName } from '../../protocol/events.ts';
import type { Target } from './kinds.ts';

export interface Rule<D> {
  /** Why the event changes no cached value; absent if it does. */
  readonly nothing?: string;
  readonly targets: (data: D) => readonly Target[];
}

function nothing(why: string): Rule<unknown> {
  return { nothing: why, targets: () => [] };
}

const ofMessages = nothing('No cached value has messages, heads or counts of messages.');

export const invalidationsOfEvents: { readonly [E in EventName]: Rule<EventData<E>> } = {
  message: ofMessages,
  'message:updated': ofMessages,
  'message:deleted': ofMessages,
  pin: ofMessages,
  reaction: ofMessages,
  'room:purged': ofMessages,
  member: {
    targets: ({ room, change, role }) => {
      if (change === 'muted' || change === 'unmuted') return [];
      // a user that joins has no earlier place than the present owner, unless the user is an owner
      return change === 'joined' && role !== 'owner' ? [] : [{ kind: 'roomOwner', id: [room] }];
    },
  },
  room: {
    targets: ({ room, state }) =>
      state === undefined || state.kind === 'channel' ? [`room:${room}`, 'kind:channelSearch'] : [`room:${room}`],
  },
  read: ofMessages,
  mention: nothing('Mentions are not cached.'),
  notification: nothing('Notifications are not cached.'),
  thread: nothing('Threads and their marks are not cached.'),
  invitation: nothing('Invitations are not cached; an accepted one comes with a member event.'),
  delivered: nothing('Delivered marks are not cached.'),
  ready: nothing('The event describes a connection.'),
  behind: nothing('The event describes a connection.'),
  drain: nothing('The event describes a connection.'),
  presence: nothing('Presence is not cached.'),
  'session:revoked': nothing('Sessions are not cached.'),
  signal: nothing('Signals are not stored.'),
  'signal:direct': nothing('Signals are not stored.'),
};

/** Changes that no event reports. */
export const invalidationsOfChanges = {
  /** Another name or profile, or the data of the user was deleted. */
  user: (user: string): readonly Target[] => [`user:${user}`],
  /** A channel was made, so that searches may find it. */
  channels: (): readonly Target[] => ['kind:channelSearch'],
  /** Names that users had not had came with an import, and so did members and channels. */
  imported: (): readonly Target[] => ['kind:user', 'kind:profile', 'kind:roomOwner', 'kind:channelSearch'],
} as const;

export function invalidationsOf<E extends EventName>(name: E, data: EventData<E>): readonly Target[] {
  return invalidationsOfEvents[name].targets(data);
}
