/**
 * Bytes that wait to be sent, in the buffers of uWS and in answers to HTTP polls, by connection, user and address.
 *
 * A client that does not read its answers costs memory, and a user may have a hundred connections. A connection over its
 * limit gets no further large answer, and neither does a user or an address over theirs. Room events add bytes too:
 * `sweep` closes the connections with the largest buffers of a user or an address over its limit. While memory is short,
 * `relieve` closes the largest buffers of all, before the node refuses commands.
 *
 * The next sweep, or the next request for a large answer, sees that a buffer has drained.
 */
import { ParleyError } from '../protocol/errors.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection, LocalUser } from './connection.ts';
import type { Network } from '../transport/engineio/address-limit.ts';

export interface UnsentSettings {
  /** Unsent bytes of one connection over which it gets no large answer. */
  readonly softBufferedBytes: number;
  readonly maxUnsentBytesPerUser: number;
  readonly maxUnsentBytesPerAddress: number;
}

export type UnsentLimit = 'connection' | 'user' | 'address';

/** A refusal is sent after the unsent bytes: a client that reads it has drained its buffer already. */
const retryAfterMs = 100;
/** A smaller buffer is not worth a closed connection. */
const worthBytes = 64 * 1024;

const texts: Readonly<Record<UnsentLimit, string>> = {
  connection: 'Read the answers that this connection has not taken yet.',
  user: 'Read the answers that your connections have not taken yet.',
  address: 'The connections of this address have too many answers to read.',
};

export class Unsent {
  readonly #settings: UnsentSettings;
  readonly #metrics: Metrics;
  #total = 0;

  constructor(settings: UnsentSettings, metrics: Metrics) {
    this.#settings = settings;
    this.#metrics = metrics;
    metrics.watchUnsent(() => this.#total);
  }

  /** Unsent bytes of all connections, as of the last count of each. */
  get total(): number {
    return this.#total;
  }

  /** Counts the connection's unsent bytes again, for its address and for its present user. */
  note(connection: Connection): void {
    const bytes = connection.bufferedBytes;
    const { counted, countedFor, user } = connection;
    if (bytes === counted && (user === countedFor || bytes === 0)) return;
    this.#total += bytes - counted;
    connection.address.network.unsent += bytes - counted;
    if (countedFor !== undefined) countedFor.unsent -= counted;
    if (user !== undefined) user.unsent += bytes;
    connection.counted = bytes;
    connection.countedFor = user;
  }

  /** @throws {ParleyError} `overloaded` if the connection may not get a large answer now */
  admit(connection: Connection, user: LocalUser): void {
    this.note(connection);
    const limit = this.#passed(connection, user);
    if (limit === undefined) return;
    this.#metrics.answersRefused.inc({ limit });
    throw new ParleyError('overloaded', texts[limit], { retryAfter: retryAfterMs });
  }

  /** Counts all connections, and closes the largest buffers of each user and address over its limit. */
  sweep(connections: Iterable<Connection>): void {
    const { maxUnsentBytesPerUser, maxUnsentBytesPerAddress } = this.#settings;
    const buffered: Connection[] = [];
    for (const connection of connections) {
      this.note(connection);
      connection.swept = connection.counted;
      if (connection.counted > 0) buffered.push(connection);
    }
    const users = new Set<LocalUser>();
    const networks = new Set<Network>();
    for (const { user, address } of buffered) {
      if (user !== undefined && user.unsent > maxUnsentBytesPerUser) users.add(user);
      if (address.network.unsent > maxUnsentBytesPerAddress) networks.add(address.network);
    }
    for (const user of users) {
      const own = buffered.filter((connection) => connection.user === user);
      this.#close(own, 'user', user.unsent - maxUnsentBytesPerUser);
    }
    for (const network of networks) {
      const own = buffered.filter(({ address }) => address.network === network);
      this.#close(own, 'address', network.unsent - maxUnsentBytesPerAddress);
    }
  }

  /** Closes the largest buffers until about `bytes` bytes are free. @returns how many bytes became free */
  relieve(connections: Iterable<Connection>, bytes: number): number {
    const worth: Connection[] = [];
    for (const connection of connections) {
      this.note(connection);
      // bytes sent a moment ago may be on their way: a client that reads has taken them by the next sweep
      if (Math.min(connection.counted, connection.swept) >= worthBytes) worth.push(connection);
    }
    return this.#close(worth, 'memory', bytes);
  }

  #passed(connection: Connection, user: LocalUser): UnsentLimit | undefined {
    const { softBufferedBytes, maxUnsentBytesPerUser, maxUnsentBytesPerAddress } = this.#settings;
    if (connection.counted > softBufferedBytes) return 'connection';
    if (user.unsent > maxUnsentBytesPerUser) {
      // some buffers may have drained since they were counted
      for (const other of user.connections) this.note(other);
      if (user.unsent > maxUnsentBytesPerUser) return 'user';
    }
    return connection.address.network.unsent > maxUnsentBytesPerAddress ? 'address' : undefined;
  }

  #close(connections: Connection[], step: 'user' | 'address' | 'memory', bytes: number): number {
    let freed = 0;
    for (const connection of connections.toSorted((a, b) => b.counted - a.counted)) {
      if (freed >= bytes) break;
      const { counted } = connection;
      connection.close('slow_consumer', 'slow_consumer');
      this.note(connection);
      freed += counted - connection.counted;
      this.#metrics.slowConsumers.inc({ step });
    }
    return freed;
  }
}
