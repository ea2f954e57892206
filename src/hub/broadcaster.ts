import type { RoomEvent } from '../fanout/fanout.ts';
import type { Tally } from '../telemetry/hot-metrics.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection, LocalUser } from './connection.ts';
import type { Connections } from './connections.ts';
import type { Topics } from '../transport/engineio/topics.ts';
import { VersionCache } from '../recovery/version-cache.ts';
import { encodeEvent } from '../transport/socketio/encode.ts';
import type { Form, Frames } from '../transport/socketio/packet.ts';
import { forms, roomTopic } from './room-topics.ts';
import type { OffRooms } from './off-rooms.ts';

export interface BroadcasterParts {
  readonly connections: Connections;
  readonly off: OffRooms;
  readonly topics: Topics;
  /** Told of events with a rev that go out. */
  readonly replay: { delivered(event: RoomEvent): void };
  /** Whether what is known of memberships is recent enough. */
  readonly mayDeliver: () => boolean;
  readonly metrics: Metrics;
}

/** Makes frames of events, and writes each once to the room's topic, whatever the number of its connections. */
export class Broadcaster {
  readonly #parts: BroadcasterParts;
  /** Events are counted by name; the names are those of the protocol. */
  readonly #tallies = new Map<string, Tally>();
  /** Settings of rooms, as told last. */
  readonly #settings = new VersionCache();

  /** Events written to connections so far; whoever watches buffers need not look when it has not moved. */
  delivered = 0;

  constructor(parts: BroadcasterParts) {
    this.#parts = parts;
  }

  /** To the room's connections, now: that it is its turn, RoomOrder has seen to. */
  toRoom(envelope: RoomEvent): void {
    const { off, replay } = this.#parts;
    const { room, event, rev } = envelope;
    if (rev !== undefined) {
      off.moved(room, rev);
      replay.delivered(envelope);
    } else if (event === 'room') {
      // read of Postgres before fan-out told it: the same again is no news
      if (this.#settings.note(room, envelope.json)) return;
    }
    let deliveries = this.#publish(envelope, false);
    // those who are slow hear of everything but signals
    if (off.anyQuiet) {
      if (event === 'signal') this.#countDropped(room);
      else deliveries += this.#publish(envelope, true);
    }
    // no pull brings it to those who are off the room
    if (rev === undefined && event !== 'signal') {
      deliveries += this.#sendEach(allBut(off.off(room), envelope.withheld), event, envelope.json);
    }
    this.#count(event, deliveries);
  }

  /** Whether it is what the room heard last of its settings. */
  wasLast({ room, json }: RoomEvent): boolean {
    return this.#settings.is(room, json);
  }

  /** The database went back in time: settings may be others now. */
  forget(): void {
    this.#settings.clear();
  }

  toUser(user: LocalUser, event: string, json: string): void {
    let deliveries = 0;
    for (const connection of user.connections) {
      if (connection.state !== 'ready') continue;
      connection.sendFrames(encodeEvent(connection.form, event, json));
      deliveries++;
    }
    this.#count(event, deliveries);
  }

  /** To each directly, for what nothing may hold back. */
  toEach(connections: Iterable<Connection>, event: string, json: string): void {
    this.#count(event, this.#sendEach(connections, event, json));
  }

  /** It has missed events of the room, and is to pull them up to the head. */
  behind(connection: Connection, room: string, head: number): void {
    connection.sendBehindAcks(encodeEvent(connection.form, 'behind', JSON.stringify({ room, head })));
  }

  /**
   * An event that is not of this protocol, to a room: as a signal, it is dropped for connections that are slow, and for all
   * while it is not known who is a member.
   */
  emitToRoom(room: string, frames: (form: Form) => Frames, except: Connection | undefined): void {
    const { topics } = this.#parts;
    if (!this.#parts.mayDeliver()) return this.#parts.metrics.signalsDropped.inc();
    if (this.#parts.off.anyQuiet) this.#countDropped(room);
    let deliveries = 0;
    for (const form of this.#parts.connections.formsInUse) {
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
      this.#parts.metrics.signalsDropped.inc();
      return;
    }
    connection.sendFrames(frames(connection.form));
    this.#countDeliveries(1);
  }

  /**
   * Writes the event once for each form in use. A publish leaves out one connection at most, so those of withheld users are
   * off the topic for its time; another connection stays on it, so the room does not look empty meanwhile.
   * @returns how many connections it went to.
   */
  #publish({ room, event, json, attachments, except, withheld = [] }: RoomEvent, quiet: boolean): number {
    const { connections, topics } = this.#parts;
    const sender = except === undefined ? undefined : connections.session(except);
    let deliveries = 0;
    for (const form of connections.formsInUse) {
      const topic = roomTopic(form, room, quiet);
      const leftOut = withheld.flatMap((id) => connections.of(id).filter((one) => one.isSubscribed(topic)));
      const others =
        topics.subscribers(topic) - leftOut.length - (sender !== undefined && isOn(sender, room, form, quiet) ? 1 : 0);
      if (others === 0) continue;
      deliveries += others;
      for (const one of leftOut) one.unsubscribe(topic);
      try {
        for (const frame of encodeEvent(form, event, json, attachments)) topics.publish(topic, frame, sender?.wire);
      } finally {
        for (const one of leftOut) one.subscribe(topic);
      }
    }
    return deliveries;
  }

  /** @returns how many connections there were. */
  #sendEach(connections: Iterable<Connection>, event: string, json: string): number {
    const frames: Partial<Record<Form, Frames>> = {};
    let deliveries = 0;
    for (const connection of connections) {
      connection.sendFrames((frames[connection.form] ??= encodeEvent(connection.form, event, json)));
      deliveries++;
    }
    return deliveries;
  }

  #countDropped(room: string): void {
    const { topics } = this.#parts;
    for (const form of forms) this.#parts.metrics.signalsDropped.inc(topics.subscribers(roomTopic(form, room, true)));
  }

  #count(event: string, deliveries: number): void {
    let tally = this.#tallies.get(event);
    if (tally === undefined) {
      tally = this.#parts.metrics.fanoutEvents.labels({ event });
      this.#tallies.set(event, tally);
    }
    tally.inc();
    this.#countDeliveries(deliveries);
  }

  #countDeliveries(deliveries: number): void {
    this.#parts.metrics.fanoutDeliveries.inc(deliveries);
    this.delivered += deliveries;
  }
}

function* allBut(connections: Iterable<Connection>, users: readonly string[] = []): Iterable<Connection> {
  for (const connection of connections) if (!users.includes(connection.user?.id ?? '')) yield connection;
}

/** Whether a member's connection is on this one of the room's topics; known here, so uWS need not be asked. */
function isOn(connection: Connection, room: string, form: Form, quiet: boolean): boolean {
  return connection.form === form && connection.quiet === quiet && connection.away?.has(room) !== true;
}
