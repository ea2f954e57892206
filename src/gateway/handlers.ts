/** What each command does: input is validated, the connection is `ready`. An answer is an object, or JSON text as it is. */
import type { UserRates } from '../auth/rates/user-rates.ts';
import type { TokenVerifier } from '../auth/tokens.ts';
import type { Fanout } from '../fanout/fanout.ts';
import type { Epochs } from '../messaging/epochs.ts';
import type { Messaging } from '../messaging/messaging.ts';
import type { Tails } from '../messaging/tails.ts';
import type { CommandName, CommandOutput, ParsedInput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Attendance } from './attendance.ts';
import type { Connection, LocalUser } from './connection.ts';
import { Encoded } from './encoded.ts';
import { createKeepHandlers } from './handlers/keep.ts';
import { createPullHandlers } from './handlers/pull.ts';
import { roomHandlers } from './handlers/rooms.ts';
import { createUserHandlers } from './handlers/users.ts';
import { createTalkHandlers } from './handlers/talk.ts';
import type { Local } from './local.ts';
import type { SignalLimits } from './signals.ts';
import type { UserShares } from './user-shares.ts';

export interface Caller {
  readonly connection: Connection;
  readonly user: LocalUser;
}

export type Handlers = {
  readonly [C in CommandName]: (
    caller: Caller,
    input: ParsedInput<C>,
  ) => Promise<CommandOutput<C> | Encoded> | CommandOutput<C>;
};

export function createHandlers(parts: {
  messaging: Messaging;
  fanout: Fanout;
  verifier: TokenVerifier;
  rates: UserRates;
  local: Local;
  attendance: Attendance;
  tails: Tails;
  epochs: Epochs;
  metrics: Metrics;
  shares: UserShares;
  signalLimits: SignalLimits;
  adding: 'consent' | 'direct';
}): Handlers {
  const { messaging, verifier, rates, local, attendance } = parts;
  const { memberships, mayDeliver } = local;
  const { writer, changes, readMarks, bodies } = messaging;
  return {
    ...createTalkHandlers(messaging),
    ...createUserHandlers(messaging),
    ...createKeepHandlers({ ...parts, memberships, mayDeliver }),
    'message:send': ({ connection, user }, { room, id, body, replyTo, lane }) => {
      const { json, mentions } = bodies.read(body);
      const send = { room, id, sender: user.id, senderName: user.name, body: json, replyTo, lane, mentions };
      const paced = rates.send(user.id, connection.identity?.tier ?? null);
      const sent = paced === undefined ? writer.send(send) : paced.then(() => writer.send(send));
      // whoever answers has read what there was
      return sent.then((stored) => {
        readMarks.sent(user.id, room, stored.seq);
        return stored;
      });
    },
    'message:edit': async ({ connection, user }, { room, seq, body }) => {
      await rates.send(user.id, connection.identity?.tier ?? null);
      const { json, mentions } = bodies.read(body);
      const { rev, at } = await changes.make({ kind: 'edit', room, seq, user: user.id, body: json, mentions });
      return { seq, rev, at };
    },
    'message:delete': async ({ user }, { room, seq }) => {
      const { rev } = await changes.make({ kind: 'delete', room, seq, user: user.id });
      return { seq, rev };
    },
    'message:versions': async ({ user }, input) => new Encoded(await messaging.versions(user.id, input)),
    'reaction:add': async ({ connection, user }, { room, seq, emoji }) => {
      await rates.send(user.id, connection.identity?.tier ?? null);
      const { rev, count } = await changes.make({ kind: 'add', room, seq, user: user.id, emoji });
      return { rev, count };
    },
    'reaction:remove': async ({ user }, { room, seq, emoji }) => {
      const { rev, count } = await changes.make({ kind: 'remove', room, seq, user: user.id, emoji });
      return { rev, count };
    },
    ...createPullHandlers(parts),
    read: ({ connection, user }, { room, seq }) =>
      // a mark of the old history moves nothing; the answer says where the mark stands
      readMarks.set(user.id, room, connection.stale?.has(room) === true ? 0 : seq),
    ...roomHandlers(messaging, local, { rates, adding: parts.adding }),
    'presence:get': ({ user }, { users }) => attendance.presenceOf(user.id, users),
    'presence:watch': ({ connection }, { users }) => attendance.watch(connection, users),
    'presence:unwatch': ({ connection }, { users }) => attendance.unwatch(connection, users),
    'session:list': ({ user }) => attendance.sessions(user.id),
    'session:revoke': ({ connection, user }, input) =>
      'session' in input ? attendance.revokeSession(user.id, input.session) : attendance.revokeOthers(connection),
    'auth:refresh': async ({ connection, user }, { token }) => {
      const identity = await verifier.verify(token);
      if (identity.user !== user.id) throw new ParleyError('forbidden', 'The token is of another user.');
      await attendance.renew(connection, identity);
      return { expires: identity.expires };
    },
  };
}
