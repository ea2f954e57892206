import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection } from './connection.ts';
import type { Interest } from './interest.ts';
import type { OffRooms } from './off-rooms.ts';
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
 * brings, so it comes all the while: see Broadcaster.
 *
 * Buffers are looked at in a sweep, and only after something was delivered: uWS tells nothing of a buffer that grows, and
 * an idle server has none.
 */
export class SlowConsumers {
  readonly #settings: SlowConsumerSettings;
  readonly #metrics: Metrics;
  readonly #off: OffRooms;
  readonly #interest: Interest;

  constructor(settings: SlowConsumerSettings, parts: { off: OffRooms; interest: Interest; metrics: Metrics }) {
    this.#settings = settings;
    this.#off = parts.off;
    this.#interest = parts.interest;
    this.#metrics = parts.metrics;
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
        this.#off.await(connection, room);
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
    this.#off.unquieten(connection);
    for (const room of connection.away ?? []) this.#forget(connection, room);
    connection.away = undefined;
    connection.quiet = false;
  }

  #hush(connection: Connection): void {
    if (connection.quiet) return;
    connection.quiet = true;
    this.#off.quieten(connection);
    this.#metrics.slowConsumers.inc({ step: 'quiet' });
    this.#resubscribe(connection, true);
  }

  #recover(connection: Connection): void {
    connection.quiet = false;
    this.#off.unquieten(connection);
    this.#metrics.slowConsumers.inc({ step: 'recovered' });
    this.#resubscribe(connection, false);
    for (const room of connection.away ?? []) {
      if (this.#off.awaits(connection, room)) this.#putBack(connection, room);
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
      this.#off.add(connection, room);
      connection.unsubscribe(roomTopic(connection.form, room, true));
    }
    this.#metrics.slowConsumers.inc({ step: 'behind' });
  }

  #putBack(connection: Connection, room: string): void {
    connection.subscribe(roomTopic(connection.form, room, connection.quiet));
    this.#forget(connection, room);
  }

  #forget(connection: Connection, room: string): void {
    const { away } = connection;
    if (away?.delete(room) !== true) return;
    if (away.size === 0) connection.away = undefined;
    if (this.#off.remove(connection, room)) this.#interest.settled(room);
  }
}
