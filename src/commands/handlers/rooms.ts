/** Rooms and their members. A command with an event to a whole room, or with a new room for a user, takes of rates. */
import type { UserRates } from '../../rates/user-rates.ts';
import type { Messaging } from '../../messaging.ts';
import type { roomCommands } from '../../protocol/commands/rooms.ts';
import { ParleyError } from '../../protocol/errors.ts';
import { backendPrefix } from '../../protocol/model.ts';
import type { Caller } from '../../sessions/caller.ts';
import type { Seen } from '../../protocol/http-route.ts';
import type { HandlersOf } from '../table.ts';

export interface RoomHandlerOptions {
  readonly rates: UserRates;
  /** Whether users join only by their own consent, or may be added. */
  readonly adding: 'consent' | 'direct';
}

export function roomHandlers(
  messaging: Messaging,
  { rates, adding }: RoomHandlerOptions,
): HandlersOf<typeof roomCommands> {
  const { rooms, roomAdmin: admin, invitations } = messaging;
  const mayAdd = ({ backend }: Caller): boolean => adding === 'direct' || backend;
  return {
    'room:create': async (caller, input) => {
      const { user, backend } = caller;
      if (input.kind !== 'direct' && input.id?.startsWith(backendPrefix) === true && !backend) {
        throw new ParleyError('forbidden', `id: ids that begin with ${backendPrefix} are for back ends.`);
      }
      await rates.joins.spend(user.id);
      return rooms.create(user.id, input, mayAdd(caller));
    },
    'room:join': async ({ user }, { room }) => {
      await rates.joins.spend(user.id);
      return rooms.join(user.id, room);
    },
    'room:leave': async ({ user }, { room }) => {
      await rates.joins.spend(user.id);
      return done(rooms.leave(user.id, room));
    },
    'room:invite': async (caller, input) => {
      await rates.invitations.spend(caller.user.id);
      return invitations.add(caller.user.id, input, mayAdd(caller));
    },
    'room:list': ({ user }, input) => messaging.reading(user.id, () => rooms.list(user.id, input)),
    'room:members': ({ user }, input) => messaging.reading(user.id, () => rooms.members(user.id, input)),
    'room:member': ({ user }, input) => messaging.reading(user.id, () => rooms.oneMember(user.id, input)),
    'room:get': ({ user }, { room }) => messaging.reading(user.id, () => rooms.get(user.id, room)),
    'room:search': ({ user }, input) => messaging.reading(user.id, () => rooms.search(user.id, input)),
    'room:update': ({ user }, input, seen) => admin.update(user.id, input, seenOf(seen)?.room),
    'room:archive': ({ user }, { room }) => admin.archive(user.id, room, true),
    'room:unarchive': ({ user }, { room }) => admin.archive(user.id, room, false),
    'room:delete': ({ user }, { room }) => done(admin.delete(user.id, room)),
    'room:role': ({ user }, input, seen) => rooms.setRole(user.id, input, seenOf(seen)?.member),
    'room:transfer': ({ user }, input) => admin.transfer(user.id, input),
    'room:remove': ({ user }, input) => done(admin.remove(user.id, input)),
    'room:mute': ({ user }, input) => admin.mute(user.id, input),
    'room:unmute': ({ user }, input) => done(admin.unmute(user.id, input)),
    'room:ban': ({ user }, input) => done(admin.ban(user.id, input)),
    'room:unban': ({ user }, input) => done(admin.unban(user.id, input)),
    'room:bans': ({ user }, input) => messaging.reading(user.id, () => admin.bans(user.id, input)),
  };
}

/** The answer of a command without output. */
export async function done(work: Promise<void>): Promise<Record<string, never>> {
  await work;
  return {};
}

/** The object that a statement compares; undefined: none, since the object has to be there anyway. */
function seenOf<O>(seen: Seen<O> | undefined): O | undefined {
  return seen === 'any' ? undefined : seen;
}
