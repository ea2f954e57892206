import type { Connection } from './connection.ts';

/**
 * Rooms without members: backend services put connections into them and take them out. A room ends with its last
 * connection. Rooms exist only in the memory of this node, and their names cannot be room ids.
 */
export class AdHocRooms {
  readonly #rooms = new Map<string, Set<Connection>>();

  /** @returns false if the connection is already in `max` ad-hoc rooms */
  join(connection: Connection, name: string, max: number): boolean {
    const joined = (connection.adHocRooms ??= new Set());
    if (joined.has(name)) return true;
    if (joined.size >= max) return false;
    joined.add(name);
    const room = this.#rooms.get(name);
    if (room === undefined) this.#rooms.set(name, new Set([connection]));
    else room.add(connection);
    return true;
  }

  leave(connection: Connection, name: string): void {
    if (connection.adHocRooms?.delete(name) !== true) return;
    const room = this.#rooms.get(name);
    room?.delete(connection);
    if (room?.size === 0) this.#rooms.delete(name);
  }

  /** The connection ended or lost its user: its ad-hoc rooms go. */
  closed(connection: Connection): void {
    for (const name of connection.adHocRooms ?? []) this.leave(connection, name);
    connection.adHocRooms = undefined;
  }

  in(name: string): ReadonlySet<Connection> {
    return this.#rooms.get(name) ?? none;
  }

  has(name: string): boolean {
    return this.#rooms.has(name);
  }

  names(): IterableIterator<string> {
    return this.#rooms.keys();
  }
}

const none: ReadonlySet<Connection> = new Set();
