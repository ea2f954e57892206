import type { Envelope, MembershipChange, RoomEvent } from '../fanout/fanout.ts';
import type { Log } from '../telemetry/log.ts';
import type { Tally } from '../telemetry/hot-metrics.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection } from './connection.ts';
import type { Topics } from './engine/topics.ts';
import { FreeRooms } from './free-rooms.ts';
import { encodeEvent } from './packets/encode.ts';
import type { Form, Frames } from './packets/packet.ts';
import { forms, roomOfTopic, roomTopic, roomTopics } from './room-topics.ts';
import type { SlowConsumers } from './slow-consumers.ts';

/** A user with connections on this node. */
export interface LocalUser {
  readonly id: string;
  name: string | null;
  readonly connections: Connection[];
  /** Rooms in which they may only read; absent for nearly everybody. */
  guestOf: Set<string> | undefined;
}

const jsonAlone: readonly Form[] = ['json'];

/**
 * The connections of this node that are somebody's, by session and by user, and the receiving end of fan-out: it turns
 * envelopes into frames and publishes each once to the room's topic, whatever the number of its connections.
 */
export class Connections {
  readonly #topics: () => Topics;
  readonly #slow: SlowConsumers;
  readonly #metrics: Metrics;
  readonly #log: Log;
  readonly #sessions = new Map<string, Connection>();
  readonly #users = new Map<string, LocalUser>();
  /** Events are counted by name; the names are those of the protocol. */
  readonly #tallies = new Map<string, Tally>();
  #ofMsgpack = 0;
  /**
   * For rooms with connections here, the rev up to which events went out; undefined until the first is known. An event
   * that is not beyond it was delivered before (a commit that was tried again) and is dropped.
   */
  readonly #delivered = new Map<string, number | undefined>();

  /** @param topics asked for when the first event comes: the engine that has them is made later. */
  constructor(topics: () => Topics, slow: SlowConsumers, metrics: Metrics, log: Log) {
    this.#topics = topics;
    this.#slow = slow;
    this.#metrics = metrics;
    this.#log = log;
  }

  /** Rooms that backend services make of connections. */
  readonly freeRooms = new FreeRooms();

  /** Events written to connections so far; whoever watches buffers need not look when it has not moved. */
  delivered = 0;

  get occupiedRooms(): number {
    return this.#delivered.size;
  }

  get users(): number {
    return this.#users.size;
  }

  /** How many connections the user has here. */
  ofUser(id: string): number {
    return this.#users.get(id)?.connections.length ?? 0;
  }

  /** The user's connections here, whatever their state; safe to close them on the way. */
  of(id: string): Connection[] {
    return [...(this.#users.get(id)?.connections ?? [])];
  }

  /** Whether a connection here is subscribed to the room. */
  occupies(room: string): boolean {
    return this.#delivered.has(room);
  }

  occupied(): IterableIterator<string> {
    return this.#delivered.keys();
  }

  hasUser(id: string): boolean {
    return this.#users.has(id);
  }

  /** Those that are `ready`. */
  *ready(user?: string): Generator<Connection> {
    const all = user === undefined ? this.#sessions.values() : (this.#users.get(user)?.connections ?? []);
    for (const connection of all) if (connection.state === 'ready') yield connection;
  }

  session(id: string): Connection | undefined {
    const connection = this.#sessions.get(id);
    return connection?.state === 'ready' ? connection : undefined;
  }

  /** Members' connections. uWS does not tell a topic's subscribers, so every connection is asked: 0.1 to 0.2 µs each. */
  *inRoom(room: string): Generator<Connection> {
    if (!this.#delivered.has(room) && !this.#slow.anyQuiet) return;
    for (const connection of this.ready()) {
      const topic = roomTopic(connection.form, room, connection.quiet);
      if (connection.isSubscribed(topic) || connection.away?.has(room) === true) yield connection;
    }
  }

  /** An event that is not of this protocol, to a room: as a signal, it is dropped for connections that are slow. */
  emitToRoom(room: string, frames: (form: Form) => Frames, except: Connection | undefined): void {
    const topics = this.#topics();
    if (this.#slow.anyQuiet) this.#countDropped(room);
    let deliveries = 0;
    for (const form of this.#forms()) {
      const topic = roomTopic(form, room);
      const others = topics.subscribers(topic) - (except?.isSubscribed(topic) === true ? 1 : 0);
      if (others === 0) continue;
      deliveries += others;
      for (const frame of frames(form)) topics.publish(topic, frame, except?.wire);
    }
    this.#countDeliveries(deliveries);
  }

  /** The same to one connection. @param volatile it is only wanted at once: dropped too if anything waits to be sent. */
  emitTo(connection: Connection, frames: (form: Form) => Frames, volatile: boolean): void {
    if (connection.quiet || (volatile && connection.bufferedBytes > 0)) {
      this.#metrics.signalsDropped.inc();
      return;
    }
    connection.sendFrames(frames(connection.form));
    this.#countDeliveries(1);
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
    if (connection.form === 'msgpack') this.#ofMsgpack++;
    this.#sessions.set(connection.session, connection);
    return user;
  }

  /** Undoes `identify`: CONNECT failed, the client left, or the connection ended. */
  anonymize(connection: Connection): void {
    const { user } = connection;
    this.#sessions.delete(connection.session);
    this.#slow.closed(connection);
    this.freeRooms.closed(connection);
    connection.changes = undefined;
    connection.user = undefined;
    connection.identity = undefined;
    if (user === undefined) return;
    if (connection.form === 'msgpack') this.#ofMsgpack--;
    const at = user.connections.indexOf(connection);
    if (at !== -1) user.connections.splice(at, 1);
    if (user.connections.length === 0) this.#users.delete(user.id);
  }

  /** The head that a connection of a room was told; events up to it need not go out if none has gone out yet. */
  noteHead(room: string, rev: number): void {
    if (!this.#delivered.has(room) || this.#delivered.get(room) !== undefined) return;
    const others = roomTopics(room).reduce((sum, topic) => sum + this.#topics().subscribers(topic), -1);
    // with others there, an event up to this head may still have to go out to them
    if (others === 0) this.#delivered.set(room, rev);
  }

  topicChanged(topic: string, occupied: boolean): void {
    const room = roomOfTopic(topic);
    if (room === undefined) return;
    if (occupied) {
      if (!this.#delivered.has(room)) this.#delivered.set(room, undefined);
    } else if (roomTopics(room).every((other) => other === topic || this.#topics().subscribers(other) === 0)) {
      this.#delivered.delete(room);
    }
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
    if (change.role === null) {
      connection.unsubscribe(roomTopic(connection.form, change.room, connection.quiet));
      this.#slow.left(connection, change.room);
    } else if (connection.away?.has(change.room) !== true) {
      connection.subscribe(roomTopic(connection.form, change.room, connection.quiet));
    }
    if (user === undefined) return;
    if (change.role === 'guest') (user.guestOf ??= new Set()).add(change.room);
    else user.guestOf?.delete(change.room);
  }

  /** Takes the connection off all its rooms. */
  leaveRooms(connection: Connection): void {
    for (const topic of connection.wire?.getTopics() ?? []) {
      if (roomOfTopic(topic) !== undefined) connection.unsubscribe(topic);
    }
  }

  #toRoom(envelope: RoomEvent): void {
    const { room, event, rev } = envelope;
    if (rev !== undefined) this.#slow.moved(room, rev);
    if (!this.#delivered.has(room)) return;
    if (rev !== undefined) {
      if (rev <= (this.#delivered.get(room) ?? 0)) return;
      this.#delivered.set(room, rev);
    }
    let deliveries = this.#publish(envelope, false);
    // those who are slow hear of everything but signals
    if (this.#slow.anyQuiet) {
      if (event === 'signal') this.#countDropped(room);
      else deliveries += this.#publish(envelope, true);
    }
    this.#count(event, deliveries);
  }

  /** Writes the event once for each form in use. @returns how many connections it went to. */
  #publish({ room, event, json, attachments, except }: RoomEvent, quiet: boolean): number {
    const topics = this.#topics();
    const sender = except === undefined ? undefined : this.#sessions.get(except);
    let deliveries = 0;
    for (const form of this.#forms()) {
      const topic = roomTopic(form, room, quiet);
      const others = topics.subscribers(topic) - (sender !== undefined && isOn(sender, room, form, quiet) ? 1 : 0);
      if (others === 0) continue;
      deliveries += others;
      for (const frame of encodeEvent(form, event, json, attachments)) topics.publish(topic, frame, sender?.wire);
    }
    return deliveries;
  }

  #countDropped(room: string): void {
    for (const form of forms) this.#metrics.signalsDropped.inc(this.#topics().subscribers(roomTopic(form, room, true)));
  }

  #toUser(id: string, event: string, json: string): void {
    const user = this.#users.get(id);
    if (user === undefined) return;
    let deliveries = 0;
    for (const connection of user.connections) {
      if (connection.state !== 'ready') continue;
      connection.sendFrames(encodeEvent(connection.form, event, json));
      deliveries++;
    }
    this.#count(event, deliveries);
  }

  #count(event: string, deliveries: number): void {
    let tally = this.#tallies.get(event);
    if (tally === undefined) {
      tally = this.#metrics.fanoutEvents.labels({ event });
      this.#tallies.set(event, tally);
    }
    tally.inc();
    this.#countDeliveries(deliveries);
  }

  #countDeliveries(deliveries: number): void {
    this.#metrics.fanoutDeliveries.inc(deliveries);
    this.delivered += deliveries;
  }

  /** Forms that some connection here uses: nearly always JSON alone. */
  #forms(): readonly Form[] {
    return this.#ofMsgpack === 0 ? jsonAlone : forms;
  }

  #toMembers(change: MembershipChange): void {
    for (const connection of this.#users.get(change.user)?.connections ?? []) {
      if (connection.state === 'ready') this.applyMembership(connection, change);
      else connection.changes?.push(change);
    }
  }
}

/** Whether a member's connection is on this one of the room's topics; known here, so uWS need not be asked. */
function isOn(connection: Connection, room: string, form: Form, quiet: boolean): boolean {
  return connection.form === form && connection.quiet === quiet && connection.away?.has(room) !== true;
}
