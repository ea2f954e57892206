import { debugLog } from '../telemetry/debug-log.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { encodeEvent } from '../transport/socketio/encode.ts';
import type { Connection } from './connection.ts';

/**
 * The slow connections: quiet ones, which get no signals, and those that are off a room. SlowConsumers decides; the
 * broadcaster and the interest of the node read.
 *
 * States of a connection in a room: *on*; *waiting*, off the room until the next event, for which it gets `behind`; then
 * *off*. SlowConsumers puts the connection on the room again.
 */
export class OffRooms {
  readonly #metrics: Metrics;
  readonly #debug: Log | undefined;
  readonly #quiet = new Set<Connection>();
  /** Connections that are off a room. */
  readonly #off = new Map<string, Set<Connection>>();
  /** Connections off a room that get `behind` with the room's next event. */
  readonly #waiting = new Map<string, Set<Connection>>();

  constructor(metrics: Metrics, log: Log) {
    this.#metrics = metrics;
    this.#debug = debugLog(log);
  }

  /** Whether connections are off the room. The node still needs the room's events, though no topic has these connections. */
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

  quieten(connection: Connection): void {
    this.#quiet.add(connection);
  }

  unquieten(connection: Connection): void {
    this.#quiet.delete(connection);
  }

  /** An event was delivered in the room: each waiting connection gets `behind`. */
  moved(room: string, head: number): void {
    const waiting = this.#waiting.get(room);
    if (waiting === undefined) return;
    this.#waiting.delete(room);
    const json = JSON.stringify({ room, head });
    for (const connection of waiting) connection.sendFrames(encodeEvent(connection.form, 'behind', json));
    const connections = waiting.size;
    this.#debug?.debug(
      { room, rev: head, connections, reason: 'slow' },
      'Sent `behind` to connections that are off the room.',
    );
    this.#metrics.slowConsumers.inc({ step: 'told' }, waiting.size);
  }

  /** The connection is off the room, and gets `behind` for the next event. */
  add(connection: Connection, room: string): void {
    addTo(this.#off, room, connection);
    this.await(connection, room);
  }

  await(connection: Connection, room: string): void {
    addTo(this.#waiting, room, connection);
  }

  /** Whether no event was delivered in the room since the connection is off it. */
  awaits(connection: Connection, room: string): boolean {
    return this.#waiting.get(room)?.has(connection) === true;
  }

  /** @returns whether this was the last connection off the room */
  remove(connection: Connection, room: string): boolean {
    removeFrom(this.#waiting, room, connection);
    return removeFrom(this.#off, room, connection);
  }
}

function addTo(rooms: Map<string, Set<Connection>>, room: string, connection: Connection): void {
  const connections = rooms.get(room);
  if (connections === undefined) rooms.set(room, new Set([connection]));
  else connections.add(connection);
}

/** @returns whether this was the last one */
function removeFrom(rooms: Map<string, Set<Connection>>, room: string, connection: Connection): boolean {
  const connections = rooms.get(room);
  connections?.delete(connection);
  return connections?.size === 0 && rooms.delete(room);
}
