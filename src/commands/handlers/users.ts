/** Blocks between users. */
import type { Messaging } from '../../messaging.ts';
import type { userCommands } from '../../protocol/commands/users.ts';
import type { HandlersOf } from '../table.ts';

export function userHandlers(messaging: Messaging): HandlersOf<typeof userCommands> {
  const { blocks } = messaging;
  return {
    'user:block': async ({ user }, input) => {
      await blocks.block(user.id, input.user);
      return {};
    },
    'user:unblock': async ({ user }, input) => {
      await blocks.unblock(user.id, input.user);
      return {};
    },
    'user:blocks': ({ user }, input) => messaging.reading(user.id, () => blocks.list(user.id, input)),
  };
}
