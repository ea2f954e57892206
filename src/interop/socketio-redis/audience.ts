import type { Connection } from '../../hub/connection.ts';
import type { Hub } from '../../hub/hub.ts';
import { roomNameKind, userPrefix } from './room-names.ts';

export interface Filter {
  readonly rooms: ReadonlySet<string>;
  readonly except?: ReadonlySet<string>;
}

/** One room whose topic reaches exactly the recipients. */
export interface TopicAudience {
  readonly room: string;
  readonly except: Connection | undefined;
}

type AudienceParts = Pick<Hub, 'connections' | 'subscriptions' | 'interest' | 'lease'>;

/** The recipients among the connections of this node, by the names that back ends use. */
export class Audience {
  readonly #local: AudienceParts;

  constructor(hub: AudienceParts) {
    this.#local = hub;
  }

  /** Whether the name has recipients on this node. Called for each message before it is decoded, so it must be fast. */
  has(name: string): boolean {
    const { connections, interest } = this.#local;
    switch (roomNameKind(name)) {
      case 'session':
        return connections.session(name) !== undefined;
      case 'user':
        return connections.user(name.slice(userPrefix.length)) !== undefined;
      case 'room':
        return interest.has(name);
      case 'free':
        break;
    }
    return connections.adHocRooms.has(name);
  }

  /** The connections in any of the rooms, each once, without those in any of `except`. No rooms: all connections. */
  find({ rooms, except }: Filter): Set<Connection> {
    const found = new Set<Connection>();
    for (const connection of this.#union(rooms)) found.add(connection);
    for (const name of except ?? []) for (const connection of this.#named(name)) found.delete(connection);
    return found;
  }

  /** The common case, which one publish serves: one room, without at most one connection. */
  topic({ rooms, except }: Filter): TopicAudience | undefined {
    const [room] = rooms;
    if (room === undefined || rooms.size > 1 || roomNameKind(room) !== 'room') return undefined;
    let left: Connection | undefined;
    for (const name of except ?? []) {
      for (const connection of this.#named(name)) {
        if (left !== undefined && left !== connection) return undefined;
        left = connection;
      }
    }
    return { room, except: left };
  }

  *#union(rooms: ReadonlySet<string>): Generator<Connection> {
    if (rooms.size === 0) yield* this.#local.connections.ready();
    else for (const name of rooms) yield* this.#named(name);
  }

  *#named(name: string): Generator<Connection> {
    const { connections, subscriptions, interest, lease } = this.#local;
    switch (roomNameKind(name)) {
      case 'session': {
        const connection = connections.session(name);
        if (connection !== undefined) yield connection;
        break;
      }
      case 'user':
        yield* connections.ready(name.slice(userPrefix.length));
        break;
      case 'room':
        if (interest.has(name) && lease.held) yield* subscriptions.connectionsIn(name);
        break;
      case 'free':
        yield* connections.adHocRooms.in(name);
        break;
    }
  }
}
