import { roomOfTopic } from '../../hub/room-topics.ts';
import type { Connection } from '../../hub/connection.ts';
import type { Connections } from '../../hub/connections.ts';
import type { Broadcaster } from '../../hub/broadcaster.ts';
import type { Sockets } from '../../connect/sockets.ts';
import { userPrefix } from './names.ts';
import type { Outbound } from './outbound.ts';
import type { Questions } from './requests.ts';
import { Refused, type Refusals } from './refusals.ts';
import type { TopicAudience } from './audience.ts';

/** What the adapter calls on those that an event goes to. */
export interface Recipient {
  readonly client: { writeToEngine(encoded: readonly [Outbound], options: { volatile?: boolean }): void };
}

export interface RemoteSocketParts {
  readonly connections: Connections;
  readonly broadcaster: Broadcaster;
  readonly sockets: Sockets;
  readonly questions: Questions;
  readonly refusals: Refusals;
  readonly maxRoomsPerConnection: number;
}

const lingerMs = 5000;

/** A whole room as one recipient. */
export function topicRecipient(broadcaster: Broadcaster, { room, except }: TopicAudience): Recipient {
  return { client: { writeToEngine: ([event]) => broadcaster.emitToRoom(room, event.frames, except) } };
}

/** One connection as the adapter sees it: Socket.IO's Socket, as far as other servers may use it. Made when it is needed. */
export class RemoteSocket implements Recipient {
  readonly #connection: Connection;
  readonly #parts: RemoteSocketParts;

  constructor(connection: Connection, parts: RemoteSocketParts) {
    this.#connection = connection;
    this.#parts = parts;
  }

  get id(): string {
    return this.#connection.session;
  }

  get client(): Recipient['client'] {
    return {
      writeToEngine: ([event], { volatile }) =>
        this.#parts.broadcaster.emitTo(this.#connection, event.frames, volatile === true),
    };
  }

  get acks(): { set(id: number, ack: (value: unknown) => void): void } {
    return { set: (id, ack) => this.#parts.questions.add(this.#connection, id, ack) };
  }

  get rooms(): Set<string> {
    const { session, user, wire, offRooms, adHocRooms } = this.#connection;
    const members = (wire?.getTopics() ?? []).map(roomOfTopic).filter((room) => room !== undefined);
    const own = user === undefined ? [] : [userPrefix + user.id];
    return new Set([session, ...own, ...members, ...(offRooms ?? []), ...(adHocRooms ?? [])]);
  }

  get data(): object {
    const { user } = this.#connection;
    return { user: user === undefined ? null : { id: user.id, name: user.name } };
  }

  /** In Socket.IO's form, without what is secret in it: no headers, no query, no token. */
  get handshake(): object {
    const issued = Math.round(performance.timeOrigin + this.#connection.openedAt);
    return {
      issued,
      time: new Date(issued).toString(),
      address: this.#connection.address.address,
      headers: {},
      query: {},
      auth: {},
      url: '',
      secure: false,
      xdomain: false,
    };
  }

  join(rooms: string | readonly string[]): void {
    const { connections, refusals, maxRoomsPerConnection } = this.#parts;
    for (const room of typeof rooms === 'string' ? [rooms] : rooms) {
      if (connections.adHocRooms.join(this.#connection, room, maxRoomsPerConnection)) continue;
      refusals.count(new Refused('rooms_per_connection', `a connection is in ${maxRoomsPerConnection} of its rooms`));
    }
  }

  leave(room: string): void {
    this.#parts.connections.adHocRooms.leave(this.#connection, room);
  }

  /** As Socket.IO does: DISCONNECT, after which stock clients stay away, and then, with `close`, the connection's end. */
  disconnect(close?: boolean): void {
    const connection = this.#connection;
    this.#parts.sockets.disconnect(connection);
    if (close !== true) return;
    // a long-polling client gets DISCONNECT with its next GET, and then ends by itself
    if (connection.bufferedBytes === 0) connection.end('backend');
    else setTimeout(() => connection.end('backend'), lingerMs).unref();
  }
}
