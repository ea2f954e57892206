/** The sessions of a user. What is about the token of one connection stands in `connection-commands.ts`. */
import type { sessionCommands } from '../../protocol/commands/sessions.ts';
import type { Attendance } from '../../sessions/registry.ts';
import type { HandlersOf } from '../table.ts';

export function sessionHandlers(attendance: Attendance): HandlersOf<Pick<typeof sessionCommands, 'session:list'>> {
  return {
    'session:list': ({ user }) => attendance.sessions(user.id),
  };
}
