/** Commands about their own connection: its watches and its token. These have no meaning without a connection. */
import type { TokenVerifier } from '../sessions/tokens.ts';
import type { Commands } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { LocalSessions } from '../sessions/local-sessions.ts';
import type { SessionRegistry } from '../sessions/registry.ts';
import type { ConnectionHandlersOf } from './table.ts';

export type ConnectionCommandName =
  'presence:watch' | 'presence:unwatch' | 'presence:state' | 'session:revoke' | 'auth:refresh';

export function connectionCommands(parts: {
  registry: SessionRegistry;
  sessions: LocalSessions;
  verifier: TokenVerifier;
}): ConnectionHandlersOf<Pick<Commands, ConnectionCommandName>> {
  const { registry, sessions, verifier } = parts;
  return {
    'presence:watch': (connection, _user, { users }) => registry.watch(connection, users),
    'presence:unwatch': (connection, _user, { users }) => registry.unwatch(connection, users),
    'presence:state': (connection, _user, { state, room }) => registry.state(connection, state, room),
    // `all` spares the token and the session of this connection
    'session:revoke': (connection, user, input) =>
      'session' in input ? registry.revokeSession(user.id, input.session) : sessions.revokeOthers(connection),
    'auth:refresh': async (connection, user, { token }) => {
      const identity = await verifier.verify(token);
      if (identity.user !== user.id) throw new ParleyError('forbidden', 'The token belongs to another user.');
      await sessions.renew(connection, identity);
      return { expires: identity.expires };
    },
  };
}
