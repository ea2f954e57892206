/** Who is online. A watch is of a connection: `connection-commands.ts` has it. */
import type { presenceCommands } from '../../protocol/commands/presence.ts';
import type { Attendance } from '../../sessions/registry.ts';
import type { HandlersOf } from '../table.ts';

export function presenceHandlers(attendance: Attendance): HandlersOf<Pick<typeof presenceCommands, 'presence:get'>> {
  return {
    'presence:get': ({ user }, { users }) => attendance.presenceOf(user.id, users),
  };
}
