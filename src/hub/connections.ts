import type { Connection, LocalUser } from './connection.ts';
import { AdHocRooms } from './ad-hoc-rooms.ts';
import type { Form } from '../transport/socketio/packet.ts';
import { forms } from './room-topics.ts';

const jsonAlone: readonly Form[] = ['json'];

/** The connections of this node that have a user, by session and by user. */
export class Connections {
  readonly #sessions = new Map<string, Connection>();
  readonly #users = new Map<string, LocalUser>();
  #ofMsgpack = 0;

  /** Rooms that backend services make of connections. */
  readonly adHocRooms = new AdHocRooms();

  /** Makes the connection its user's. */
  identify(connection: Connection, id: string, name: string | null): LocalUser {
    let user = this.#users.get(id);
    if (user === undefined) {
      // most users have one connection: `push` on an empty array would reserve 16 more places
      user = {
        id,
        name,
        connections: [connection],
        readsOnly: undefined,
        unsent: 0,
        shares: undefined,
        uncounted: 0,
      };
      this.#users.set(id, user);
    } else {
      user.connections.push(connection);
    }
    if (name !== null) user.name = name;
    connection.user = user;
    if (connection.form === 'msgpack') this.#ofMsgpack++;
    this.#sessions.set(connection.session, connection);
    return user;
  }

  /** Gives the connections of a user another name. */
  rename(id: string, name: string | null): void {
    const user = this.#users.get(id);
    if (user !== undefined) user.name = name;
  }

  /** Undoes `identify`: CONNECT failed, the client left, or the connection ended. */
  anonymize(connection: Connection): void {
    const { user } = connection;
    this.#sessions.delete(connection.session);
    this.adHocRooms.closed(connection);
    connection.user = undefined;
    connection.identity = undefined;
    if (user === undefined) return;
    if (connection.form === 'msgpack') this.#ofMsgpack--;
    const at = user.connections.indexOf(connection);
    if (at !== -1) user.connections.splice(at, 1);
    if (user.connections.length === 0) this.#users.delete(user.id);
  }

  /** All connections with a user, in any state. */
  all(): Iterable<Connection> {
    return this.#sessions.values();
  }

  /** Connections in the state `ready`. */
  *ready(user?: string): Generator<Connection> {
    const all = user === undefined ? this.#sessions.values() : (this.#users.get(user)?.connections ?? []);
    for (const connection of all) if (connection.state === 'ready') yield connection;
  }

  /** The connection with this public id, if its state is `ready`. */
  session(id: string): Connection | undefined {
    const connection = this.#sessions.get(id);
    return connection?.state === 'ready' ? connection : undefined;
  }

  user(id: string): LocalUser | undefined {
    return this.#users.get(id);
  }

  users(): Iterable<LocalUser> {
    return this.#users.values();
  }

  userIds(): string[] {
    return [...this.#users.keys()];
  }

  /** A copy of the user's connections here, in any state: the caller may close them while it iterates. */
  of(id: string): Connection[] {
    return [...(this.#users.get(id)?.connections ?? [])];
  }

  /** How many connections the user has here. */
  ofUser(id: string): number {
    return this.#users.get(id)?.connections.length ?? 0;
  }

  /** Forms that connections here use: JSON alone on most nodes. */
  get formsInUse(): readonly Form[] {
    return this.#ofMsgpack === 0 ? jsonAlone : forms;
  }
}
