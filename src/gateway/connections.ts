import type { Envelope, Fanout, MembershipChange, RoomClosed, RoomEvent, UserEvent } from '../fanout/fanout.ts';
import type { Membership } from '../messaging/membership-changes.ts';
import type { Log } from '../telemetry/log.ts';
import type { Tally } from '../telemetry/hot-metrics.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection } from './connection.ts';
import type { Topics } from './engine/topics.ts';
import { FreeRooms } from './free-rooms.ts';
import { encodeEvent } from './packets/encode.ts';
import type { Form, Frames } from './packets/packet.ts';
import { forms, roomOfTopic, roomTopic, roomTopics } from './room-topics.ts';
import { RoomOrder, type RoomOrderParts } from './room-order.ts';
import { SlowConsumers, type SlowConsumerSettings } from './slow-consumers.ts';
import { LastTold } from './last-told.ts';

/** A user with connections on this node. */
export interface LocalUser {
  readonly id: string;
  name: string | null;
  readonly connections: Connection[];
  /** Rooms in which they may only read, and until when, in milliseconds since 1970; absent for nearly everybody. */
  readsOnly: Map<string, number> | undefined;
}

const jsonAlone: readonly Form[] = ['json'];

export interface ConnectionsParts {
  /** Asked for when the first event comes: the engine that has them is made later. */
  readonly topics: () => Topics;
  readonly settings: SlowConsumerSettings;
  readonly fanout: Fanout;
  readonly missed: RoomOrderParts['read'];
  /** Told of events with a rev that go out, and of rooms that nobody is in any more. */
  readonly tails: { delivered(event: RoomEvent): void; forget(room: string): void };
  readonly metrics: Metrics;
  readonly log: Log;
}

const unwelcomedMax = 10_000;

/**
 * The connections of this node that are somebody's, by session and by user, and the receiving end of fan-out: it turns
 * envelopes into frames and publishes each once to the room's topic, whatever the number of its connections.
 */
export class Connections {
  readonly order: RoomOrder;
  readonly slow: SlowConsumers;
  readonly #tails: ConnectionsParts['tails'];
  readonly #topics: () => Topics;
  readonly #fanout: Fanout;
  readonly #metrics: Metrics;
  readonly #log: Log;
  readonly #sessions = new Map<string, Connection>();
  readonly #users = new Map<string, LocalUser>();
  /** Events are counted by name; the names are those of the protocol. */
  readonly #tallies = new Map<string, Tally>();
  /** Rooms whose events may not reach this node yet. */
  readonly #standing = new Map<string, Promise<void>>();
  /** Users and rooms (`user\nroom`) that were joined here and have not been told so, with the time. */
  readonly #unwelcomed = new Map<string, number>();
  readonly #standings = new LastTold();
  readonly #states = new LastTold();
  #ofMsgpack = 0;

  constructor(parts: ConnectionsParts) {
    const { metrics, log } = parts;
    this.#tails = parts.tails;
    this.#topics = parts.topics;
    this.#fanout = parts.fanout;
    this.#metrics = metrics;
    this.#log = log;
    this.slow = new SlowConsumers(parts.settings, metrics, (room) => this.#occupancyChanged(room));
    this.order = new RoomOrder({ deliver: (event) => this.#deliver(event), read: parts.missed, metrics, log });
  }

  /** Rooms that backend services make of connections. */
  readonly freeRooms = new FreeRooms();

  /** Told whose memberships are newer here than in what is being read of Postgres. */
  membershipTouched: ((user: string) => void) | undefined = undefined;

  /** Events written to connections so far; whoever watches buffers need not look when it has not moved. */
  delivered = 0;

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
    return this.order.has(room);
  }

  occupied(): string[] {
    return this.order.rooms();
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
    if (!this.order.has(room)) return;
    for (const connection of this.ready()) {
      const topic = roomTopic(connection.form, room, connection.quiet);
      if (connection.isSubscribed(topic) || connection.away?.has(room) === true) yield connection;
    }
  }

  /** An event that is not of this protocol, to a room: as a signal, it is dropped for connections that are slow. */
  emitToRoom(room: string, frames: (form: Form) => Frames, except: Connection | undefined): void {
    const topics = this.#topics();
    if (this.slow.anyQuiet) this.#countDropped(room);
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
      // most have one connection; push would make room for 16 more
      user = { id, name, connections: [connection], readsOnly: undefined };
      this.#users.set(id, user);
    } else {
      user.connections.push(connection);
    }
    if (name !== null) user.name = name;
    connection.user = user;
    if (connection.form === 'msgpack') this.#ofMsgpack++;
    this.#sessions.set(connection.session, connection);
    this.membershipTouched?.(id);
    return user;
  }

  /** Undoes `identify`: CONNECT failed, the client left, or the connection ended. */
  anonymize(connection: Connection): void {
    const { user } = connection;
    this.#sessions.delete(connection.session);
    this.slow.closed(connection);
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

  userIds(): string[] {
    return [...this.#users.keys()];
  }

  /** The connection was told the rooms' heads; those of which it has missed events already it is told to pull. */
  toldHeads(connection: Connection, heads: Iterable<{ readonly id: string; readonly rev: number }>): void {
    for (const { id, rev } of heads) {
      const head = this.order.noteHead(id, rev);
      if (head !== undefined) this.#sendBehind(connection, id, head);
    }
  }

  /** Resolves when events of all of the connection's rooms reach this node. */
  async standing(connection: Connection): Promise<void> {
    if (this.#standing.size === 0) return;
    const topics = connection.wire?.getTopics() ?? [];
    await Promise.all(topics.flatMap((topic) => this.#standing.get(roomOfTopic(topic) ?? '') ?? []));
  }

  topicChanged(topic: string, occupied: boolean): void {
    const room = roomOfTopic(topic);
    if (room !== undefined) this.#occupancyChanged(room, { topic, occupied });
  }

  /** @param told a topic whose change is being told: uWS may not count it yet. */
  #occupancyChanged(room: string, told?: { topic: string; occupied: boolean }): void {
    const occupied =
      told?.occupied === true ||
      this.slow.concerns(room) ||
      roomTopics(room).some((topic) => topic !== told?.topic && this.#topics().subscribers(topic) > 0);
    if (occupied === this.order.has(room)) return;
    if (!occupied) {
      this.order.remove(room);
      this.#tails.forget(room);
      this.#standing.delete(room);
      this.#fanout.vacated(room);
      return;
    }
    this.order.add(room);
    const standing = this.#fanout.occupied(room);
    if (this.#fanout.others === undefined) return;
    this.#standing.set(room, standing);
    void standing.then(() => {
      if (this.#standing.get(room) !== standing) return;
      this.#standing.delete(room);
      // somebody may have been told a head before
      this.order.recheck(room);
    });
  }

  /** Fan-out's receiver. A fault in one envelope is counted and does not keep the others back. */
  receive(envelopes: readonly Envelope[]): void {
    for (const envelope of envelopes) {
      try {
        if (envelope.to === 'room') this.order.receive(envelope);
        else if (envelope.to === 'user') this.toUser(envelope);
        else if (envelope.to === 'closed') this.#closeRoom(envelope);
        else this.#toMembers(envelope);
      } catch (error) {
        this.#metrics.internalErrors.inc({ where: 'delivery' });
        this.#log.error({ err: error }, 'an event could not be delivered');
      }
    }
  }

  /** Whether there is nobody here to hear it, or it is what they heard last. */
  hasHeard({ room, json }: RoomEvent): boolean {
    return !this.order.has(room) || this.#states.is(room, json);
  }

  applyMembership(connection: Connection, change: Pick<MembershipChange, 'room' | 'role' | 'mutedUntil'>): void {
    const { user } = connection;
    if (change.role === null) {
      connection.unsubscribe(roomTopic(connection.form, change.room, connection.quiet));
      this.slow.left(connection, change.room);
    } else if (connection.away?.has(change.room) !== true) {
      connection.subscribe(roomTopic(connection.form, change.room, connection.quiet));
    }
    if (user === undefined) return;
    const until = readsOnlyUntil(change);
    if (until !== undefined) (user.readsOnly ??= new Map()).set(change.room, until);
    else user.readsOnly?.delete(change.room);
  }

  /** Takes the connection off all its rooms. */
  leaveRooms(connection: Connection): void {
    for (const topic of connection.wire?.getTopics() ?? []) {
      if (roomOfTopic(topic) !== undefined) connection.unsubscribe(topic);
    }
  }

  #deliver(envelope: RoomEvent): void {
    const { room, event, rev } = envelope;
    if (rev !== undefined) {
      this.slow.moved(room, rev);
      this.#tails.delivered(envelope);
    } else if (event === 'room' && this.#fanout.others !== undefined) {
      // read of Postgres before it came by way of Redis: the same again is no news
      if (this.#states.note(room, envelope.json)) return;
    }
    let deliveries = this.#publish(envelope, false);
    // those who are slow hear of everything but signals
    if (this.slow.anyQuiet) {
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

  toUser({ user: id, event, json, head }: UserEvent): void {
    const user = this.#users.get(id);
    if (user === undefined) return;
    let deliveries = 0;
    for (const connection of user.connections) {
      if (connection.state !== 'ready') continue;
      connection.sendFrames(encodeEvent(connection.form, event, json));
      deliveries++;
    }
    this.#count(event, deliveries);
    if (head === undefined) return;
    this.#unwelcomed.delete(`${id}\n${head.room}`);
    const behind = this.order.noteHead(head.room, head.rev);
    if (behind === undefined) return;
    for (const connection of user.connections) {
      if (connection.state === 'ready') this.#sendBehind(connection, head.room, behind);
    }
  }

  #sendBehind(connection: Connection, room: string, head: number): void {
    connection.sendFrames(encodeEvent(connection.form, 'behind', JSON.stringify({ room, head })));
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

  /** The last that its members here hear of it; each directly, for nothing holds that back. */
  #closeRoom({ room, event, json }: RoomClosed): void {
    const frames: Partial<Record<Form, Frames>> = {};
    let deliveries = 0;
    for (const user of this.#users.values()) {
      for (const connection of user.connections) {
        if (connection.state !== 'ready') {
          connection.changes?.push({ to: 'membership', user: user.id, room, role: null });
        } else if (this.isIn(connection, room)) {
          connection.sendFrames((frames[connection.form] ??= encodeEvent(connection.form, event, json)));
          this.applyMembership(connection, { room, role: null });
          deliveries++;
        }
      }
    }
    this.#count(event, deliveries);
  }

  #toMembers(change: MembershipChange): void {
    this.membershipTouched?.(change.user);
    if (this.#fanout.others !== undefined && this.#users.has(change.user)) this.#toldStanding(change);
    if (this.#apply(change) && change.role !== null && this.#fanout.others !== undefined) {
      this.unwelcomed(change.user, change.room);
    }
  }

  /** @returns whether the user was told so last. */
  #toldStanding({ user, room, role, mutedUntil }: Membership): boolean {
    return this.#standings.note(`${user}\n${room}`, `${role} ${mutedUntil}`);
  }

  /** The user was joined to the room and is still to be told. Past the limit they find out when they list their rooms. */
  unwelcomed(user: string, room: string): void {
    if (this.#unwelcomed.size < unwelcomedMax) this.#unwelcomed.set(`${user}\n${room}`, performance.now());
  }

  /** @returns whether that put a connection on the room or took one off it. */
  #apply(change: Membership): boolean {
    let changed = false;
    for (const connection of this.#users.get(change.user)?.connections ?? []) {
      if (connection.state === 'ready') {
        if (this.isIn(connection, change.room) !== (change.role !== null)) changed = true;
        this.applyMembership(connection, change);
      } else {
        connection.changes?.push({ to: 'membership', ...change });
      }
    }
    return changed;
  }

  /**
   * A membership as Postgres has it.
   * @returns what that changed for the user's connections here; undefined: nothing.
   */
  reconcile(membership: Membership): 'joined' | 'left' | 'role' | undefined {
    const user = this.#users.get(membership.user);
    if (user === undefined) return undefined;
    const told = this.#toldStanding(membership);
    const before = user.readsOnly?.get(membership.room);
    if (this.#apply(membership)) return membership.role === null ? 'left' : 'joined';
    if (membership.role === null || told) return undefined;
    const isOther = membership.updated === true || readsOnlyUntil(membership) !== before;
    return isOther ? 'role' : undefined;
  }

  /** Users and the rooms that their connections are in, of those that are ready. */
  *joined(): Generator<{ readonly user: string; readonly room: string }> {
    for (const user of this.#users.values()) {
      const rooms = new Set(user.connections.flatMap((one) => (one.state === 'ready' ? roomsOf(one) : [])));
      for (const room of rooms) yield { user: user.id, room };
    }
  }

  /** Who was joined more than `ms` ago and has not been told; each is returned once. */
  takeUnwelcomed(ms: number): { user: string; room: string }[] {
    const before = performance.now() - ms;
    const taken: { user: string; room: string }[] = [];
    for (const [key, since] of this.#unwelcomed) {
      if (since > before) break; // in order of time
      this.#unwelcomed.delete(key);
      const [user = '', room = ''] = key.split('\n');
      if (this.#users.has(user)) taken.push({ user, room });
    }
    return taken;
  }

  nameOf(user: string): string | null {
    return this.#users.get(user)?.name ?? null;
  }

  /** On the room's topic, or off it for being slow. */
  isIn(connection: Connection, room: string): boolean {
    const topic = roomTopic(connection.form, room, connection.quiet);
    return connection.isSubscribed(topic) || connection.away?.has(room) === true;
  }
}

/** In milliseconds since 1970; undefined: they may write. */
function readsOnlyUntil({ role, mutedUntil }: Pick<MembershipChange, 'role' | 'mutedUntil'>): number | undefined {
  return role === 'guest' ? Infinity : mutedUntil;
}

function roomsOf(connection: Connection): string[] {
  const onTopic = (connection.wire?.getTopics() ?? []).map(roomOfTopic).filter((room) => room !== undefined);
  return [...onTopic, ...(connection.away ?? [])];
}

/** Whether a member's connection is on this one of the room's topics; known here, so uWS need not be asked. */
function isOn(connection: Connection, room: string, form: Form, quiet: boolean): boolean {
  return connection.form === form && connection.quiet === quiet && connection.away?.has(room) !== true;
}
