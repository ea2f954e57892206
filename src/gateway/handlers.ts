/** What each command does: input is validated, the connection is `ready`. An answer is an object, or JSON text as it is. */
import type { TokenVerifier } from '../auth/tokens.ts';
import type { Fanout } from '../fanout/fanout.ts';
import type { Messaging } from '../messaging/messaging.ts';
import type { CommandName, CommandOutput, ParsedInput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import { encodeBody, encodeSignal } from '../messaging/json-body.ts';
import type { Connection } from './connection.ts';
import type { LocalUser } from './connections.ts';
import { roomTopic } from './room-topics.ts';
import type { SlowConsumers } from './slow-consumers.ts';

/** JSON text of an object that needs no second encoding. */
export class Encoded {
  readonly json: string;

  constructor(json: string) {
    this.json = json;
  }
}

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
  slow: SlowConsumers;
}): Handlers {
  const { messaging, fanout, verifier, slow } = parts;
  const { writer, changes, rooms, readMarks } = messaging;
  return {
    'message:send': ({ user }, { room, id, body, replyTo, lane }) =>
      writer.send({ room, id, sender: user.id, senderName: user.name, body: encodeBody(body), replyTo, lane }),
    'message:edit': async ({ user }, { room, seq, body }) => {
      const { rev, at } = await changes.make({ kind: 'edit', room, seq, user: user.id, body: encodeBody(body) });
      return { seq, rev, at };
    },
    'message:delete': async ({ user }, { room, seq }) => {
      const { rev } = await changes.make({ kind: 'delete', room, seq, user: user.id });
      return { seq, rev };
    },
    'message:versions': async ({ user }, input) => new Encoded(await messaging.versions(user.id, input)),
    'reaction:add': async ({ user }, { room, seq, emoji }) => {
      const { rev, count } = await changes.make({ kind: 'add', room, seq, user: user.id, emoji });
      return { rev, count };
    },
    'reaction:remove': async ({ user }, { room, seq, emoji }) => {
      const { rev, count } = await changes.make({ kind: 'remove', room, seq, user: user.id, emoji });
      return { rev, count };
    },
    history: async ({ connection, user }, input) => {
      // an older page brings nobody up to date
      if (input.before === undefined) slow.pulling(connection, [input.room]);
      return new Encoded(await messaging.history(user.id, input));
    },
    sync: async ({ connection, user }, input) => {
      slow.pulling(connection, Object.keys(input.cursors));
      return new Encoded(await messaging.sync(user.id, input));
    },
    read: ({ user }, { room, seq }) => readMarks.set(user.id, room, seq),
    signal: ({ connection, user }, { room, name, data }) => {
      if (!isIn(connection, room)) throw new ParleyError('not_member');
      if (user.guestOf?.has(room)) throw new ParleyError('forbidden');
      const { json: payload, attachments } = encodeSignal(data);
      const rest = payload === '' ? '' : `,"data":${payload}`;
      const json = `{"room":"${room}","from":"${user.id}","name":${JSON.stringify(name)}${rest}}`;
      fanout.publish([{ to: 'room', room, event: 'signal', json, attachments, except: connection.session }]);
      return {};
    },
    'room:create': ({ user }, input) => rooms.create(user.id, input),
    'room:join': ({ user }, { room }) => rooms.join(user.id, room),
    'room:leave': async ({ user }, { room }) => {
      await rooms.leave(user.id, room);
      return {};
    },
    'room:invite': ({ user }, input) => rooms.invite(user.id, input),
    'room:list': ({ user }, input) => rooms.list(user.id, input),
    'room:members': ({ user }, input) => rooms.members(user.id, input),
    'auth:refresh': async ({ connection, user }, { token }) => {
      const identity = await verifier.verify(token);
      if (identity.user !== user.id) throw new ParleyError('forbidden', 'The token is of another user.');
      connection.expires = identity.expires;
      return { expires: identity.expires };
    },
  };
}

/** On the room's topic, or off it for being slow. */
function isIn(connection: Connection, room: string): boolean {
  const topic = roomTopic(connection.form, room, connection.quiet);
  return connection.isSubscribed(topic) || connection.away?.has(room) === true;
}
