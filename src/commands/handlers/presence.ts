/** The presence of users. A watch belongs to a connection: see `connection-commands.ts`. */
import type { presenceCommands } from '../../protocol/commands/presence.ts';
import type { SessionRegistry } from '../../sessions/registry.ts';
import type { HandlersOf } from '../table.ts';

export function presenceHandlers(registry: SessionRegistry): HandlersOf<Pick<typeof presenceCommands, 'presence:get'>> {
  return {
    'presence:get': ({ user }, { users }) => registry.presenceOf(user.id, users),
  };
}
