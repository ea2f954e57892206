import { debugLog } from '../telemetry/debug-log.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection } from './connection.ts';
import type { Interest } from './interest.ts';
import type { OffRooms } from './off-rooms.ts';
import { roomOfTopic, roomTopic } from './room-topics.ts';

export interface SlowConsumerSettings {
  /** Unsent bytes over which a connection gets no signals. */
  readonly softBufferedBytes: number;
  /** Unsent bytes over which a connection gets `behind` instead of events. At the hard limit of the wire it is closed. */
  readonly behindBufferedBytes: number;
}

/**
 * Keeps the buffers of slow connections small.
 *
 * States of a connection:
 * - *well*: it gets everything. A buffer over the soft limit makes it quiet.
 * - *quiet*: it gets no signals. A buffer over `behindBufferedBytes` makes it behind. A drained buffer makes it well.
 * - *behind*: it is also off its rooms. The first event in each room gives it `behind {room, head}`. A pull of the
 *   room with `sync` or `history` puts the connection back on the room. A room without an event meanwhile would never be
 *   pulled: the connection returns to such a room when it is well.
 *
 * No pull brings an event without a rev. Such events, other than signals, reach a connection that is behind: see
 * Broadcaster.
 *
 * A sweep reads the buffers, and only after a delivery: uWS does not report that a buffer grows, and an idle server has
 * no buffers.
 */
export class SlowConsumers {
  readonly #settings: SlowConsumerSettings;
  readonly #metrics: Metrics;
  readonly #debug: Log | undefined;
  readonly #offRooms: OffRooms;
  readonly #interest: Interest;

  constructor(
    settings: SlowConsumerSettings,
    parts: { offRooms: OffRooms; interest: Interest; metrics: Metrics; log: Log },
  ) {
    this.#settings = settings;
    this.#offRooms = parts.offRooms;
    this.#interest = parts.interest;
    this.#metrics = parts.metrics;
    this.#debug = debugLog(parts.log);
  }

  sweep(connections: Iterable<Connection>): void {
    const { softBufferedBytes, behindBufferedBytes } = this.#settings;
    for (const connection of connections) {
      if (connection.state !== 'ready') continue;
      const buffered = connection.bufferedBytes;
      if (buffered > behindBufferedBytes) this.#fallBehind(connection);
      else if (buffered > softBufferedBytes) this.#quieten(connection);
      else if (buffered < softBufferedBytes / 4 && connection.quiet) this.#recover(connection);
    }
  }

  /**
   * The connection is about to read the rooms. A connection with space in its buffer is subscribed again before the read,
   * so that it misses nothing. Another one stays off, and gets `behind` for the next event after this read.
   */
  pulling(connection: Connection, rooms: Iterable<string>): void {
    const { offRooms } = connection;
    if (offRooms === undefined) return;
    const fit = connection.bufferedBytes <= this.#settings.softBufferedBytes;
    for (const room of rooms) {
      if (!offRooms.has(room)) continue;
      if (fit) {
        this.#putBack(connection, room);
      } else {
        this.#offRooms.await(connection, room);
        // quiet connections are swept until they are well
        this.#quieten(connection);
      }
    }
  }

  /** The user is no longer a member of the room. */
  left(connection: Connection, room: string): void {
    this.#forget(connection, room);
  }

  closed(connection: Connection): void {
    this.#offRooms.unquieten(connection);
    for (const room of connection.offRooms ?? []) this.#forget(connection, room);
    connection.offRooms = undefined;
    connection.quiet = false;
  }

  #quieten(connection: Connection): void {
    if (connection.quiet) return;
    connection.quiet = true;
    this.#offRooms.quieten(connection);
    this.#metrics.slowConsumers.inc({ step: 'quiet' });
    const { session, bufferedBytes } = connection;
    this.#debug?.debug(
      { session, bufferedBytes, reason: 'slow' },
      'Quietened a connection: it gets no signals until its buffer drains.',
    );
    this.#resubscribe(connection, true);
  }

  #recover(connection: Connection): void {
    connection.quiet = false;
    this.#offRooms.unquieten(connection);
    this.#metrics.slowConsumers.inc({ step: 'recovered' });
    this.#resubscribe(connection, false);
    for (const room of connection.offRooms ?? []) {
      if (this.#offRooms.awaits(connection, room)) this.#putBack(connection, room);
    }
  }

  /** Moves to the topics with or without signals, in one turn: no event is missed or doubled. */
  #resubscribe(connection: Connection, quiet: boolean): void {
    for (const topic of connection.wire?.getTopics() ?? []) {
      const room = roomOfTopic(topic);
      if (room === undefined) continue;
      connection.subscribe(roomTopic(connection.form, room, quiet));
      connection.unsubscribe(roomTopic(connection.form, room, !quiet));
    }
  }

  #fallBehind(connection: Connection): void {
    this.#quieten(connection);
    const rooms = (connection.wire?.getTopics() ?? []).map(roomOfTopic).filter((room) => room !== undefined);
    if (rooms.length === 0) return;
    const offRooms = (connection.offRooms ??= new Set());
    const { session } = connection;
    for (const room of rooms) {
      offRooms.add(room);
      this.#debug?.debug(
        { room, session, reason: 'slow' },
        'Put a connection off a room: it gets `behind` for the next event.',
      );
      this.#offRooms.add(connection, room);
      connection.unsubscribe(roomTopic(connection.form, room, true));
    }
    this.#metrics.slowConsumers.inc({ step: 'behind' });
  }

  #putBack(connection: Connection, room: string): void {
    connection.subscribe(roomTopic(connection.form, room, connection.quiet));
    this.#forget(connection, room);
  }

  #forget(connection: Connection, room: string): void {
    const { offRooms } = connection;
    if (offRooms?.delete(room) !== true) return;
    if (offRooms.size === 0) connection.offRooms = undefined;
    if (this.#offRooms.remove(connection, room)) this.#interest.settled(room);
  }
}
