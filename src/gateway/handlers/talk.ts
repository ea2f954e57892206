/** Threads, mentions and pins. */
import type { Messaging } from '../../messaging/messaging.ts';
import { Encoded } from '../encoded.ts';
import type { Handlers } from '../handlers.ts';

type TalkHandlers = Pick<
  Handlers,
  | 'message:pin'
  | 'message:unpin'
  | 'room:pins'
  | 'mentions'
  | 'thread:history'
  | 'thread:follow'
  | 'thread:unfollow'
  | 'thread:read'
  | 'thread:list'
>;

export function createTalkHandlers(messaging: Messaging): TalkHandlers {
  const { pins, threads } = messaging;
  return {
    'message:pin': ({ user }, { room, seq }) => pins.make({ room, seq, user: user.id, change: 'add' }),
    'message:unpin': ({ user }, { room, seq }) => pins.make({ room, seq, user: user.id, change: 'remove' }),
    'room:pins': async ({ user }, { room }) => new Encoded(await messaging.pinned(user.id, room)),
    mentions: async ({ user }, input) => new Encoded(await messaging.mentions(user.id, input)),
    'thread:history': async ({ user }, input) =>
      new Encoded(await messaging.reading(user.id, () => threads.history(user.id, input))),
    'thread:follow': ({ user }, input) => threads.follow(user.id, input),
    'thread:unfollow': ({ user }, input) => threads.unfollow(user.id, input),
    'thread:read': ({ user }, input) => threads.read(user.id, input),
    'thread:list': async ({ user }, input) =>
      new Encoded(await messaging.reading(user.id, () => threads.list(user.id, input))),
  };
}
