/** The commands of rooms and their members. */
import type { UserRates } from '../../auth/rates/user-rates.ts';
import type { Messaging } from '../../messaging/messaging.ts';
import { ParleyError } from '../../protocol/errors.ts';
import { backendPrefix, type RoomSummary } from '../../protocol/model.ts';
import type { RoomCommandName } from '../../protocol/room-commands.ts';
import type { Connection } from '../connection.ts';
import type { Handlers } from '../handlers.ts';
import type { Local } from '../local.ts';

type RoomHandlers = Pick<
  Handlers,
  RoomCommandName | 'room:create' | 'room:join' | 'room:leave' | 'room:invite' | 'room:list' | 'room:members'
>;

export interface RoomHandlerOptions {
  readonly rates: UserRates;
  /** Whether users join only by their own consent, or may be added. */
  readonly adding: 'consent' | 'direct';
}

export function roomHandlers(
  messaging: Messaging,
  { occupancy, receiver }: Local,
  { rates, adding }: RoomHandlerOptions,
): RoomHandlers {
  const mayAdd = (connection: Connection): boolean => adding === 'direct' || isBackend(connection);
  const { rooms, roomAdmin: admin, invitations, links } = messaging;
  const told = async <T extends { room: RoomSummary }>(connection: Connection, answer: Promise<T>): Promise<T> => {
    const answered = await answer;
    receiver.toldHeads(connection, [answered.room]);
    return answered;
  };
  const toldAll = async <T extends { rooms: RoomSummary[] }>(
    connection: Connection,
    answer: Promise<T>,
  ): Promise<T> => {
    const page = await answer;
    receiver.toldHeads(connection, page.rooms);
    return page;
  };
  /** Who came into a room is answered when its events reach this node. */
  const standing = <T extends { room: RoomSummary }>(connection: Connection, entering: Promise<T>): Promise<T> =>
    told(
      connection,
      entering.then(async (entered) => {
        await occupancy.standing(connection);
        return entered;
      }),
    );
  /** Each of them is an event to a whole room, or brings a room to somebody. */
  const joining = async <T>(user: string, work: () => Promise<T>): Promise<T> => {
    await rates.join(user);
    return work();
  };
  const inviting = async <T>(user: string, work: () => Promise<T>): Promise<T> => {
    await rates.invite(user);
    return work();
  };
  return {
    'room:create': ({ connection, user }, input) => {
      if (input.kind !== 'direct' && input.id?.startsWith(backendPrefix) === true && !isBackend(connection)) {
        throw new ParleyError('forbidden', `id: ids that begin with ${backendPrefix} are for back ends.`);
      }
      return standing(
        connection,
        joining(user.id, () => rooms.create(user.id, input, mayAdd(connection))),
      );
    },
    'room:join': ({ connection, user }, { room }) =>
      standing(
        connection,
        joining(user.id, () => rooms.join(user.id, room)),
      ),
    'room:leave': ({ user }, { room }) => done(joining(user.id, () => rooms.leave(user.id, room))),
    'room:invite': ({ connection, user }, input) =>
      inviting(user.id, () => invitations.add(user.id, input, mayAdd(connection))),
    'room:list': ({ connection, user }, input) =>
      toldAll(
        connection,
        messaging.reading(user.id, () => rooms.list(user.id, input)),
      ),
    'room:members': ({ user }, input) => messaging.reading(user.id, () => rooms.members(user.id, input)),
    'room:get': ({ connection, user }, { room }) =>
      told(
        connection,
        messaging.reading(user.id, () => rooms.get(user.id, room)),
      ),
    'room:search': ({ connection, user }, input) =>
      toldAll(
        connection,
        messaging.reading(user.id, () => rooms.search(user.id, input)),
      ),
    'room:update': ({ connection, user }, input) => told(connection, admin.update(user.id, input)),
    'room:archive': ({ connection, user }, { room }) => told(connection, admin.archive(user.id, room, true)),
    'room:unarchive': ({ connection, user }, { room }) => told(connection, admin.archive(user.id, room, false)),
    'room:delete': ({ user }, { room }) => done(admin.delete(user.id, room)),
    'room:role': ({ user }, input) => rooms.setRole(user.id, input),
    'room:transfer': ({ user }, input) => admin.transfer(user.id, input),
    'room:remove': ({ user }, input) => done(admin.remove(user.id, input)),
    'room:mute': ({ user }, input) => admin.mute(user.id, input),
    'room:unmute': ({ user }, input) => done(admin.unmute(user.id, input)),
    'room:ban': ({ user }, input) => done(admin.ban(user.id, input)),
    'room:unban': ({ user }, input) => done(admin.unban(user.id, input)),
    'room:bans': ({ user }, input) => messaging.reading(user.id, () => admin.bans(user.id, input)),
    'invitation:create': ({ user }, input) => inviting(user.id, () => invitations.create(user.id, input)),
    'invitation:list': ({ user }, input) => messaging.reading(user.id, () => invitations.list(user.id, input)),
    'invitation:accept': ({ connection, user }, { room }) =>
      standing(
        connection,
        joining(user.id, () => invitations.accept(user.id, room)),
      ),
    'invitation:decline': ({ user }, { room }) => done(invitations.decline(user.id, room)),
    'invitation:cancel': ({ user }, input) => done(invitations.cancel(user.id, input)),
    'link:create': ({ user }, input) => links.create(user.id, input),
    'link:list': ({ user }, input) => messaging.reading(user.id, () => links.list(user.id, input)),
    'link:revoke': ({ user }, input) => done(links.revoke(user.id, input)),
    'link:join': ({ connection, user }, { token }) =>
      standing(
        connection,
        joining(user.id, () => links.join(user.id, token)),
      ),
  };
}

function isBackend({ identity }: Connection): boolean {
  return identity?.backend === true;
}

async function done(work: Promise<void>): Promise<Record<string, never>> {
  await work;
  return {};
}
