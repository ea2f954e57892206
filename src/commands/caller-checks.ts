/**
 * Checks before the handlers of commands that no statement checks, for callers without a connection. For a connection the same
 * checks read the memberships that this node has in memory: see around.ts.
 */
import type { Messaging } from '../messaging.ts';
import type { Commands } from '../protocol/commands.ts';
import type { ChecksOf } from './table.ts';

export function callerChecks(messaging: Pick<Messaging, 'requireSignalRight' | 'requireMember'>): ChecksOf<Commands> {
  return {
    signal: ({ user }, { room }) => messaging.requireSignalRight(user.id, room),
    delivered: ({ user }, { room }) => messaging.requireMember(user.id, room),
  };
}
