import type { Metrics } from '../telemetry/metrics.ts';
import { encodeEvent } from '../transport/socketio/encode.ts';
import type { Connection } from './connection.ts';

/**
 * Which slow connections lack what: those without signals (quiet), and those that are off a room. SlowConsumers decides; the
 * broadcaster and the interest of the node read.
 */
export class OffRooms {
  readonly #metrics: Metrics;
  readonly #quiet = new Set<Connection>();
  /** Connections that are off a room. */
  readonly #off = new Map<string, Set<Connection>>();
  /** Connections off a room that get `behind` with the room's next event. */
  readonly #waiting = new Map<string, Set<Connection>>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /** Whether connections are off the room. The node still needs its events, though no topic has these connections. */
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

  /** An event went out in the room: each connection that is off the room gets `behind`, once. */
  moved(room: string, head: number): void {
    const waiting = this.#waiting.get(room);
    if (waiting === undefined) return;
    this.#waiting.delete(room);
    const json = JSON.stringify({ room, head });
    for (const connection of waiting) connection.sendFrames(encodeEvent(connection.form, 'behind', json));
    this.#metrics.slowConsumers.inc({ step: 'told' }, waiting.size);
  }

  /** The connection is off the room, and gets `behind` with the next event. */
  add(connection: Connection, room: string): void {
    addTo(this.#off, room, connection);
    this.await(connection, room);
  }

  await(connection: Connection, room: string): void {
    addTo(this.#waiting, room, connection);
  }

  /** Whether no event has gone out since the connection is off the room. */
  awaits(connection: Connection, room: string): boolean {
    return this.#waiting.get(room)?.has(connection) === true;
  }

  /** @returns whether no connection is off the room any more */
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

/** @returns whether it was the last one. */
function removeFrom(rooms: Map<string, Set<Connection>>, room: string, connection: Connection): boolean {
  const connections = rooms.get(room);
  connections?.delete(connection);
  return connections?.size === 0 && rooms.delete(room);
}
