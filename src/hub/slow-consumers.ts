import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection } from './connection.ts';
import { encodeEvent } from '../transport/socketio/encode.ts';
import { roomOfTopic, roomTopic } from './room-topics.ts';

export interface SlowConsumerSettings {
  /** Unsent bytes over which a connection gets no signals. */
  readonly softBufferedBytes: number;
  /** Over which it gets `behind` instead of events. At the hard limit, a setting of the wire, it is closed. */
  readonly behindBufferedBytes: number;
}

/**
 * Keeps what is buffered for slow connections small. Each step is undone when the connection has taken what waited:
 *
 * well → (over the soft limit) quiet: no signals → (over the next) behind: off its rooms; for the first event in each it
 * gets `behind {room, head}`, and is put back on a room when it pulls that room with `sync` or `history`. Where no rev
 * went by it lacks nothing, would never pull, and is put back when it is well. What has no rev, but for signals, no pull
 * brings, so it comes all the while: see Delivery.
 *
 * Buffers are looked at in a sweep, and only after something was delivered: uWS tells nothing of a buffer that grows, and
 * an idle server has none.
 */
export class SlowConsumers {
  readonly #settings: SlowConsumerSettings;
  readonly #metrics: Metrics;
  readonly #quiet = new Set<Connection>();
  /** Connections off a room that have not been told yet that it moved. */
  readonly #untold = new Map<string, Set<Connection>>();
  /** Connections that are off a room. */
  readonly #off = new Map<string, Set<Connection>>();
  readonly #settled: (room: string) => void;

  /** @param settled no connection is off the room any more. */
  constructor(settings: SlowConsumerSettings, metrics: Metrics, settled: (room: string) => void) {
    this.#settings = settings;
    this.#metrics = metrics;
    this.#settled = settled;
  }

  /** Whether connections are off the room: its events are still their affair, though no topic has them. */
  concerns(room: string): boolean {
    return this.#off.has(room);
  }

  off(room: string): Iterable<Connection> {
    return this.#off.get(room) ?? [];
  }

  /** Whether any connection is on the topics without signals. */
  get anyQuiet(): boolean {
    return this.#quiet.size > 0;
  }

  sweep(connections: Iterable<Connection>): void {
    const { softBufferedBytes, behindBufferedBytes } = this.#settings;
    for (const connection of connections) {
      if (connection.state !== 'ready') continue;
      const buffered = connection.bufferedBytes;
      if (buffered > behindBufferedBytes) this.#fallBehind(connection);
      else if (buffered > softBufferedBytes) this.#hush(connection);
      else if (buffered < softBufferedBytes / 4 && connection.quiet) this.#recover(connection);
    }
  }

  /** An event went out in the room: those who are off it hear where to pull from, once. */
  moved(room: string, head: number): void {
    const untold = this.#untold.get(room);
    if (untold === undefined) return;
    this.#untold.delete(room);
    const json = JSON.stringify({ room, head });
    for (const connection of untold) connection.sendFrames(encodeEvent(connection.form, 'behind', json));
    this.#metrics.slowConsumers.inc({ step: 'told' }, untold.size);
  }

  /**
   * The connection is about to read the rooms. One that has room in its buffer is subscribed again first, so nothing
   * falls between; another one stays off and will be told of what comes after this read.
   */
  pulling(connection: Connection, rooms: Iterable<string>): void {
    const { away } = connection;
    if (away === undefined) return;
    const fit = connection.bufferedBytes <= this.#settings.softBufferedBytes;
    for (const room of rooms) {
      if (!away.has(room)) continue;
      if (fit) {
        this.#putBack(connection, room);
      } else {
        this.#toTell(connection, room);
        // so that it is looked at until it is well
        this.#hush(connection);
      }
    }
  }

  /** It is no member of the room any more. */
  left(connection: Connection, room: string): void {
    this.#forget(connection, room);
  }

  closed(connection: Connection): void {
    this.#quiet.delete(connection);
    for (const room of connection.away ?? []) this.#forget(connection, room);
    connection.away = undefined;
    connection.quiet = false;
  }

  #hush(connection: Connection): void {
    if (connection.quiet) return;
    connection.quiet = true;
    this.#quiet.add(connection);
    this.#metrics.slowConsumers.inc({ step: 'quiet' });
    this.#resubscribe(connection, true);
  }

  #recover(connection: Connection): void {
    connection.quiet = false;
    this.#quiet.delete(connection);
    this.#metrics.slowConsumers.inc({ step: 'recovered' });
    this.#resubscribe(connection, false);
    for (const room of connection.away ?? []) {
      if (this.#untold.get(room)?.has(connection) === true) this.#putBack(connection, room);
    }
  }

  /** Onto the topics with or without signals; in one turn, so no event is missed or doubled. */
  #resubscribe(connection: Connection, quiet: boolean): void {
    for (const topic of connection.wire?.getTopics() ?? []) {
      const room = roomOfTopic(topic);
      if (room === undefined) continue;
      connection.subscribe(roomTopic(connection.form, room, quiet));
      connection.unsubscribe(roomTopic(connection.form, room, !quiet));
    }
  }

  #fallBehind(connection: Connection): void {
    this.#hush(connection);
    const rooms = (connection.wire?.getTopics() ?? []).map(roomOfTopic).filter((room) => room !== undefined);
    if (rooms.length === 0) return;
    const away = (connection.away ??= new Set());
    for (const room of rooms) {
      away.add(room);
      addTo(this.#off, room, connection);
      this.#toTell(connection, room);
      connection.unsubscribe(roomTopic(connection.form, room, true));
    }
    this.#metrics.slowConsumers.inc({ step: 'behind' });
  }

  #toTell(connection: Connection, room: string): void {
    addTo(this.#untold, room, connection);
  }

  #putBack(connection: Connection, room: string): void {
    connection.subscribe(roomTopic(connection.form, room, connection.quiet));
    this.#forget(connection, room);
  }

  #forget(connection: Connection, room: string): void {
    const { away } = connection;
    if (away?.delete(room) !== true) return;
    if (away.size === 0) connection.away = undefined;
    removeFrom(this.#untold, room, connection);
    if (removeFrom(this.#off, room, connection)) this.#settled(room);
  }
}

function addTo(rooms: Map<string, Set<Connection>>, room: string, connection: Connection): void {
  const connections = rooms.get(room);
  if (connections === undefined) rooms.set(room, new Set([connection]));
  else connections.add(connection);
}

/** @returns whether it was the last one. */
function removeFrom(rooms: Map<string, Set<Connection>>, room: string, connection: Connection): boolean {
  const connections = rooms.get(room);
  connections?.delete(connection);
  return connections?.size === 0 && rooms.delete(room);
}
