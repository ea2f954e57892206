import type { Envelope, MembershipChange, RoomEvent } from '../fanout/fanout.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection } from './connection.ts';
import { eventFrame } from './packets.ts';

/** A user with connections on this node. */
export interface LocalUser {
  readonly id: string;
  name: string | null;
  readonly connections: Connection[];
  /** Rooms in which they may only read; absent for nearly everybody. */
  guestOf: Set<string> | undefined;
}

/** The part of uWS's app that delivering needs. */
export interface Topics {
  publish(topic: string, frame: string): boolean;
  numSubscribers(topic: string): number;
}

export function roomTopic(room: string): string {
  return `r:${room}`;
}

/**
 * The connections of this node, by session and by user, and the receiving end of fan-out: it turns envelopes into frames.
 * A room is a uWS topic: one frame is written and published once, whatever the number of its connections.
 */
export class Connections {
  readonly #topics: Topics;
  readonly #metrics: Metrics;
  readonly #log: Log;
  readonly #sessions = new Map<string, Connection>();
  readonly #users = new Map<string, LocalUser>();
  /**
   * For rooms with connections here, the rev up to which events went out; undefined until the first is known. An event
   * that is not beyond it was delivered before (a commit that was tried again) and is dropped.
   */
  readonly #delivered = new Map<string, number | undefined>();

  constructor(topics: Topics, metrics: Metrics, log: Log) {
    this.#topics = topics;
    this.#metrics = metrics;
    this.#log = log;
  }

  get count(): number {
    return this.#sessions.size;
  }

  get occupiedRooms(): number {
    return this.#delivered.size;
  }

  all(): IterableIterator<Connection> {
    return this.#sessions.values();
  }

  open(connection: Connection): void {
    this.#sessions.set(connection.session, connection);
  }

  close(connection: Connection): void {
    this.#sessions.delete(connection.session);
    this.#leaveUser(connection);
  }

  #leaveUser(connection: Connection): void {
    const { user } = connection;
    if (user === undefined) return;
    const at = user.connections.indexOf(connection);
    if (at !== -1) user.connections.splice(at, 1);
    if (user.connections.length === 0) this.#users.delete(user.id);
  }

  /** Makes the connection its user's, so that changes of membership reach it from here on. */
  identify(connection: Connection, id: string, name: string | null): LocalUser {
    let user = this.#users.get(id);
    if (user === undefined) {
      user = { id, name, connections: [], guestOf: undefined };
      this.#users.set(id, user);
    }
    if (name !== null) user.name = name;
    user.connections.push(connection);
    connection.user = user;
    return user;
  }

  /** Undoes `identify` when CONNECT failed; the client may try again on the same connection. */
  anonymize(connection: Connection): void {
    this.#leaveUser(connection);
    connection.user = undefined;
    connection.changes = undefined;
    if (connection.live) connection.state = 'open';
  }

  /** The head that a connection of a room was told; events up to it need not go out if none has gone out yet. */
  noteHead(room: string, rev: number): void {
    if (this.#delivered.has(room) && this.#delivered.get(room) === undefined) this.#delivered.set(room, rev);
  }

  occupied(room: string): void {
    this.#delivered.set(room, undefined);
  }

  vacated(room: string): void {
    this.#delivered.delete(room);
  }

  /** Fan-out's receiver. A fault in one envelope is counted and does not keep the others back. */
  receive(envelopes: readonly Envelope[]): void {
    for (const envelope of envelopes) {
      try {
        if (envelope.to === 'room') this.#toRoom(envelope);
        else if (envelope.to === 'user') this.#toUser(envelope.user, envelope.event, envelope.json);
        else this.#toMembers(envelope);
      } catch (error) {
        this.#metrics.internalErrors.inc({ where: 'delivery' });
        this.#log.error({ err: error }, 'an event could not be delivered');
      }
    }
  }

  applyMembership(connection: Connection, change: Pick<MembershipChange, 'room' | 'role'>): void {
    const { user } = connection;
    if (change.role === null) connection.unsubscribe(roomTopic(change.room));
    else connection.subscribe(roomTopic(change.room));
    if (user === undefined) return;
    if (change.role === 'guest') (user.guestOf ??= new Set()).add(change.room);
    else user.guestOf?.delete(change.room);
  }

  #toRoom({ room, event, rev, json, except }: RoomEvent): void {
    if (!this.#delivered.has(room)) return;
    if (rev !== undefined) {
      if (rev <= (this.#delivered.get(room) ?? 0)) return;
      this.#delivered.set(room, rev);
    }
    const topic = roomTopic(room);
    const frame = eventFrame(event, json);
    const sender = except === undefined ? undefined : this.#sessions.get(except);
    if (sender === undefined) this.#topics.publish(topic, frame);
    else sender.publish(topic, frame);
    this.#metrics.fanoutEvents.inc({ event });
    this.#metrics.fanoutDeliveries.inc(this.#topics.numSubscribers(topic) - (sender === undefined ? 0 : 1));
  }

  #toUser(id: string, event: string, json: string): void {
    const user = this.#users.get(id);
    if (user === undefined) return;
    const frame = eventFrame(event, json);
    for (const connection of user.connections) {
      if (connection.state !== 'ready') continue;
      connection.send(frame);
      this.#metrics.fanoutDeliveries.inc();
    }
    this.#metrics.fanoutEvents.inc({ event });
  }

  #toMembers(change: MembershipChange): void {
    for (const connection of this.#users.get(change.user)?.connections ?? []) {
      if (connection.state === 'ready') this.applyMembership(connection, change);
      else connection.changes?.push(change);
    }
  }
}
