import { roomOfTopic } from '../../hub/room-topics.ts';
import type { Connection } from '../../hub/connection.ts';
import type { Connections } from '../../hub/connections.ts';
import type { Broadcaster } from '../../hub/broadcaster.ts';
import type { Sockets } from '../../connect/sockets.ts';
import { userPrefix } from './room-names.ts';
import type { Outbound } from './outbound.ts';
import type { PendingAcks } from './pending-acks.ts';
import { Refused, type Refusals } from './refusals.ts';
import type { TopicAudience } from './audience.ts';

/** The calls of the adapter on each recipient of an event. */
export interface Recipient {
  readonly client: { writeToEngine(encoded: readonly [Outbound], options: { volatile?: boolean }): void };
}

export interface RemoteSocketParts {
  readonly connections: Connections;
  readonly broadcaster: Broadcaster;
  readonly sockets: Sockets;
  readonly pendingAcks: PendingAcks;
  readonly refusals: Refusals;
  readonly maxRoomsPerConnection: number;
}

const lingerMs = 5000;

/** A whole room as one recipient. */
export function topicRecipient(broadcaster: Broadcaster, { room, except }: TopicAudience): Recipient {
  return { client: { writeToEngine: ([event]) => broadcaster.emitToRoom(room, event.frames, except) } };
}

/** A connection in the form of Socket.IO's Socket, as far as other servers may use it. Created for each use. */
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
    return { set: (id, ack) => this.#parts.pendingAcks.add(this.#connection, id, ack) };
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

  /** In Socket.IO's form, without its secrets: no headers, no query, no token. */
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
      refusals.count(
        new Refused('rooms_per_connection', `a connection that is in ${maxRoomsPerConnection} free rooms already`),
      );
    }
  }

  leave(room: string): void {
    this.#parts.connections.adHocRooms.leave(this.#connection, room);
  }

  /** As Socket.IO does: DISCONNECT, after which stock clients do not reconnect. With `close` the connection ends then. */
  disconnect(close?: boolean): void {
    const connection = this.#connection;
    this.#parts.sockets.disconnect(connection);
    if (close !== true) return;
    // a long-polling client gets DISCONNECT with its next GET, and then ends by itself
    if (connection.bufferedBytes === 0) connection.end('backend');
    // a bare timer: it runs once, and the connection may have ended by then
    else setTimeout(() => connection.end('backend'), lingerMs).unref();
  }
}
