import { RedisAdapter } from '@socket.io/redis-adapter';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Audience, Filter } from './audience.ts';
import type { RedisClients } from './clients.ts';
import type { Host } from './host.ts';
import { readEmit, readRequest, type Decode, type Emit, type RequestName } from './messages.ts';
import type { PendingAcks } from './pending-acks.ts';
import { maxFreeNameLength, roomNameKind } from './room-names.ts';
import { sanitize } from './sanitize.ts';
import { Refused, type Refusals } from './refusals.ts';
import type { Recipient } from './remote-socket.ts';

interface Parser {
  encode(value: unknown): Buffer;
  decode(value: unknown): unknown;
}

/** Members that RedisAdapter's types and Adapter's hide. Versions are exact, and a test checks that each member exists. */
interface Hosted {
  readonly channel: string;
  readonly requestChannel: string;
  parser: Parser;
  rooms: RoomsView;
  apply(opts: Filter, callback: (socket: Recipient) => void): void;
  onmessage(pattern: string, channel: string | Buffer, message: Emit | Buffer): void;
  onrequest(channel: string | Buffer, message: object): Promise<void>;
  close(): Promise<void> | void;
}

/** The part of its map of rooms that the adapter reads where `apply` is overridden. */
interface RoomsView {
  has(name: string | number): boolean;
  keys(): Iterable<string>;
}

type HostedClass = new (
  host: Host,
  pub: RedisClients['pub'],
  sub: RedisClients['sub'],
  opts: { key: string },
) => Hosted;

const HostedAdapter = RedisAdapter as unknown as HostedClass;

export interface InteropLimits {
  readonly key: string;
  readonly maxMessageBytes: number;
  /** Connections in one answer to `fetchSockets`, and to `sockets` of older servers; rooms in one to `allRooms`. */
  readonly maxListed: number;
}

export interface InteropAdapterParts {
  readonly host: Host;
  readonly clients: RedisClients;
  readonly audience: Audience;
  readonly pendingAcks: PendingAcks;
  readonly refusals: Refusals;
  readonly metrics: Metrics;
  readonly roomNames: () => string[];
}

/**
 * Socket.IO's adapter on Parley's connections. Each message is checked before the adapter reads it. Its recipients are found
 * among the connections of this node, and an event to one room is one publish to that room's topic.
 */
export class InteropAdapter extends HostedAdapter {
  readonly #limits: InteropLimits;
  readonly #parts: InteropAdapterParts;
  readonly #decode: Decode;
  /** The request that the adapter carries out, for `apply`, which it calls before its first await. */
  #current: RequestName | 'emit' = 'emit';

  constructor(limits: InteropLimits, parts: InteropAdapterParts) {
    super(parts.host, parts.clients.pub, parts.clients.sub, { key: limits.key });
    this.#limits = limits;
    this.#parts = parts;
    const notepack = this.parser;
    this.#decode = (bytes) => notepack.decode(bytes);
    // the adapter gets messages that are decoded already, and encodes values of clients
    this.parser = { encode: (value) => notepack.encode(sanitize(value)), decode: (read) => read };
    this.rooms = {
      has: (name) => parts.audience.has(String(name)),
      keys: () => parts.roomNames(),
    };
  }

  override onmessage(pattern: string, channel: string | Buffer, message: Buffer): void {
    const name = channel.toString();
    if (!name.startsWith(this.channel)) return;
    const room = name.slice(this.channel.length, -1);
    // most rooms have no connection on this node
    if (room !== '' && !this.rooms.has(room)) return;
    this.#parts.metrics.interop.messages.inc({ request: 'emit' });
    try {
      this.#checkSize(message);
      this.#current = 'emit';
      super.onmessage(pattern, name, readEmit(message, this.#decode));
    } catch (error) {
      this.#parts.refusals.count(error);
    }
  }

  override async onrequest(channel: string | Buffer, message: Buffer): Promise<void> {
    const name = channel.toString();
    if (!name.startsWith(this.requestChannel)) return;
    try {
      this.#checkSize(message);
      const { name: kind, request, rooms, timeoutMs } = readRequest(message, this.#decode);
      this.#parts.metrics.interop.messages.inc({ request: kind });
      this.#allow(kind, rooms);
      if (kind === 'emit_with_ack') this.#parts.pendingAcks.begin(timeoutMs);
      this.#current = kind;
      await super.onrequest(name, request);
    } catch (error) {
      this.#parts.refusals.count(error);
    }
  }

  override apply(opts: Filter, callback: (socket: Recipient) => void): void {
    const { audience, host } = this.#parts;
    if (this.#current === 'emit') {
      const topic = audience.topic(opts);
      if (topic !== undefined) return callback(host.topic(topic));
    }
    const found = audience.find(opts);
    const lists = this.#current === 'fetch' || this.#current === 'sockets';
    if (lists && found.size > this.#limits.maxListed) {
      throw new Refused('limit', `a list of more than ${this.#limits.maxListed} connections`);
    }
    for (const connection of found) callback(host.socket(connection));
  }

  /** @throws {Refused} if back ends may not make this request. */
  #allow(kind: RequestName, rooms: readonly string[]): void {
    if (kind === 'server_side_emit')
      throw new Refused('server_side_emit', 'Parley has no listeners for serverSideEmit');
    if (kind === 'all_rooms' && this.#parts.roomNames().length > this.#limits.maxListed) {
      throw new Refused('limit', `a list of more than ${this.#limits.maxListed} rooms`);
    }
    if (kind !== 'join' && kind !== 'leave') return;
    for (const room of rooms) {
      if (roomNameKind(room) !== 'free') {
        throw new Refused('room_membership', `members of "${room.slice(0, 64)}" change by commands alone`);
      }
      if (room.length > maxFreeNameLength)
        throw new Refused('too_large', `a free room with a name over ${maxFreeNameLength} letters`);
    }
  }

  #checkSize(message: Buffer): void {
    const { maxMessageBytes } = this.#limits;
    if (message.length > maxMessageBytes) throw new Refused('too_large', `a message over ${maxMessageBytes} bytes`);
  }
}
