import type { RoomEvent } from '../fanout/fanout.ts';
import type { Lease } from '../storage/lease.ts';
import { debugLog } from '../telemetry/debug-log.ts';
import type { Tally } from '../telemetry/hot-metrics.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection, LocalUser } from './connection.ts';
import type { Connections } from './connections.ts';
import type { Followers } from './followers.ts';
import type { Topics } from '../transport/engineio/topics.ts';
import { VersionCache } from '../recovery/version-cache.ts';
import { encodeEvent } from '../transport/socketio/encode.ts';
import type { Form, Frames } from '../transport/socketio/packet.ts';
import { forms, roomTopic } from './room-topics.ts';
import type { OffRooms } from './off-rooms.ts';

export interface BroadcasterParts {
  readonly connections: Connections;
  readonly offRooms: OffRooms;
  readonly followers: Pick<Followers, 'deliver'>;
  readonly topics: Topics;
  /** Records events with a rev that were delivered. */
  readonly replay: { delivered(event: RoomEvent): void };
  /** Whether the memberships that this node knows are recent enough to deliver by. */
  readonly lease: Pick<Lease, 'held'>;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** Encodes each event once for each form in use, and publishes it once to the room's topic, whatever the room's size. */
export class Broadcaster {
  readonly #parts: BroadcasterParts;
  /** Counters by event name. Names come from the protocol, so the map is bounded. */
  readonly #tallies = new Map<string, Tally>();
  /** The settings of rooms that were delivered last. */
  readonly #settings = new VersionCache();
  readonly #debug: Log | undefined;

  /** Deliveries so far. Buffers of connections can only have grown if this number has. */
  delivered = 0;

  constructor(parts: BroadcasterParts) {
    this.#parts = parts;
    this.#debug = debugLog(parts.log);
  }

  /** Delivers to the room's connections and followers at once. The resequencer has put the events in rev order. */
  toRoom(envelope: RoomEvent): void {
    const { offRooms, followers, replay } = this.#parts;
    const { room, event, rev } = envelope;
    if (rev !== undefined) {
      offRooms.moved(room, rev);
      replay.delivered(envelope);
      followers.deliver(envelope);
    } else if (event === 'room') {
      // a read of Postgres was faster than fan-out: the room has these settings already
      if (this.#settings.note(room, envelope.json)) {
        this.#debug?.debug(
          { room, event, reason: 'repeated' },
          'Dropped an event: the room got the same settings last.',
        );
        return;
      }
    }
    let deliveries = this.#publish(envelope, false);
    // quiet connections get everything but signals
    if (offRooms.anyQuiet) {
      if (event === 'signal') this.#countDropped(room);
      else deliveries += this.#publish(envelope, true);
    }
    // an event without a rev is not stored: a connection that is off the room cannot pull it later
    if (rev === undefined && event !== 'signal') {
      deliveries += this.#sendEach(allBut(offRooms.off(room), envelope.withheld), event, envelope.json);
    }
    this.#count(event, deliveries);
  }

  /** Whether these are the settings that the room's connections got last. */
  wasLast({ room, json }: RoomEvent): boolean {
    return this.#settings.is(room, json);
  }

  /** The database went back in time: settings may differ now. */
  forget(): void {
    this.#settings.clear();
  }

  /** Delivers to the user's connections. Slow connections get no signals. */
  toUser(user: Pick<LocalUser, 'connections'>, event: string, json: string): void {
    let deliveries = 0;
    for (const connection of user.connections) {
      if (connection.state !== 'ready') continue;
      if (connection.quiet && event === 'signal:direct') {
        this.#parts.metrics.signalsDropped.inc();
        continue;
      }
      connection.sendFrames(encodeEvent(connection.form, event, json));
      deliveries++;
    }
    this.#count(event, deliveries);
  }

  /** Writes to each connection directly. The event is neither held nor dropped. */
  toEach(connections: Iterable<Connection>, event: string, json: string): void {
    this.#count(event, this.#sendEach(connections, event, json));
  }

  /** The connection has missed events of the room, and pulls them up to the head. */
  behind(connection: Connection, room: string, head: number): void {
    const { session } = connection;
    this.#debug?.debug(
      { room, rev: head, session, reason: 'missed' },
      'Sent `behind`: events of the room were delivered before.',
    );
    connection.sendBehindAcks(encodeEvent(connection.form, 'behind', JSON.stringify({ room, head })));
  }

  /**
   * Delivers an event of a backend service to a room. As a signal, the event is dropped for quiet connections, and for all
   * connections while memberships are not recent enough.
   */
  emitToRoom(room: string, frames: (form: Form) => Frames, except: Connection | undefined): void {
    const { topics } = this.#parts;
    if (!this.#parts.lease.held) {
      this.#parts.metrics.signalsDropped.inc();
      this.#debug?.debug(
        { room, reason: 'suspended' },
        'Dropped an event of a backend service: the lease is not held.',
      );
      return;
    }
    if (this.#parts.offRooms.anyQuiet) this.#countDropped(room);
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

  /** The same to one connection. @param volatile drop the event also while anything waits to be sent */
  emitTo(connection: Connection, frames: (form: Form) => Frames, volatile: boolean): void {
    if (connection.quiet || (volatile && connection.bufferedBytes > 0)) {
      this.#parts.metrics.signalsDropped.inc();
      const { session } = connection;
      this.#debug?.debug({ session, reason: 'slow' }, 'Dropped an event of a backend service: the connection is slow.');
      return;
    }
    connection.sendFrames(frames(connection.form));
    this.#countDeliveries(1);
  }

  /**
   * Publishes the event once for each form in use. uWS can leave out only one connection of a publish. Connections of
   * withheld users leave the topic for that moment. Another connection stays on the topic, so the room stays occupied.
   * @returns how many connections got the event
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

  /** @returns how many connections got the event */
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
    this.#debug?.debug({ room, reason: 'slow' }, 'Dropped a signal for the quiet connections of the room.');
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

/** Whether a member's connection is on this topic of the room, by its own fields: a call of uWS costs more. */
function isOn(connection: Connection, room: string, form: Form, quiet: boolean): boolean {
  return connection.form === form && connection.quiet === quiet && connection.offRooms?.has(room) !== true;
}
