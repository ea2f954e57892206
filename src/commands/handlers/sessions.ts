/** The sessions of a user. `connection-commands.ts` has the commands about the token of a connection. */
import type { sessionCommands } from '../../protocol/commands/sessions.ts';
import type { SessionRegistry } from '../../sessions/registry.ts';
import type { HandlersOf } from '../table.ts';

export function sessionHandlers(registry: SessionRegistry): HandlersOf<Pick<typeof sessionCommands, 'session:list'>> {
  return {
    'session:list': ({ user }) => registry.sessions(user.id),
  };
}
