/** The sessions of a user. What is about the token of one connection stands in `connection-commands.ts`. */
import type { sessionCommands } from '../../protocol/commands/sessions.ts';
import type { SessionRegistry } from '../../sessions/registry.ts';
import type { HandlersOf } from '../table.ts';

export function sessionHandlers(registry: SessionRegistry): HandlersOf<Pick<typeof sessionCommands, 'session:list'>> {
  return {
    'session:list': ({ user }) => registry.sessions(user.id),
  };
}
