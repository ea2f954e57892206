/** Threads of replies. */
import type { Messaging } from '../../messaging.ts';
import type { threadCommands } from '../../protocol/commands/threads.ts';
import type { HandlersOf } from '../table.ts';
import { Encoded } from '../encoded.ts';

export function threadHandlers(messaging: Messaging): HandlersOf<typeof threadCommands> {
  const { threads } = messaging;
  return {
    'thread:history': async ({ user }, input) =>
      new Encoded(await messaging.reading(user.id, () => threads.history(user.id, input))),
    'thread:follow': ({ user }, input) => threads.follow(user.id, input),
    'thread:unfollow': ({ user }, input) => threads.unfollow(user.id, input),
    'thread:read': ({ user }, input) => threads.read(user.id, input),
    'thread:list': async ({ user }, input) =>
      new Encoded(await messaging.reading(user.id, () => threads.list(user.id, input))),
  };
}
