import { RedisAdapter } from '@socket.io/redis-adapter';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Audience, Filter } from './audience.ts';
import type { RedisClients } from './clients.ts';
import type { Host } from './host.ts';
import { readEmit, readRequest, type Decode, type Emit, type RequestName } from './messages.ts';
import { kindOf, maxFreeNameLength } from './names.ts';
import { plain } from './plain.ts';
import type { Questions } from './requests.ts';
import { Refused, type Refusals } from './refusals.ts';
import type { Recipient } from './remote-socket.ts';

interface Parser {
  encode(value: unknown): Buffer;
  decode(value: unknown): unknown;
}

/** What is private in RedisAdapter's types and Adapter's, and used here: versions are exact, and a test looks for each. */
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

/** What of its map of rooms the adapter reads, once `apply` is our own. */
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
  readonly questions: Questions;
  readonly refusals: Refusals;
  readonly metrics: Metrics;
  readonly roomNames: () => string[];
}

/**
 * Socket.IO's own adapter on our connections. What comes is checked before it sees it, whom it means is found among our
 * connections, and a plain event to one room is one publish to that room's topic.
 */
export class InteropAdapter extends HostedAdapter {
  readonly #limits: InteropLimits;
  readonly #parts: InteropAdapterParts;
  readonly #decode: Decode;
  /** What is being done, for `apply`: all of it happens before the adapter's first await. */
  #doing: RequestName | 'emit' = 'emit';

  constructor(limits: InteropLimits, parts: InteropAdapterParts) {
    super(parts.host, parts.clients.pub, parts.clients.sub, { key: limits.key });
    this.#limits = limits;
    this.#parts = parts;
    const notepack = this.parser;
    this.#decode = (bytes) => notepack.decode(bytes);
    // it is given what has been read already; what it writes holds values of clients
    this.parser = { encode: (value) => notepack.encode(plain(value)), decode: (read) => read };
    this.rooms = {
      has: (name) => parts.audience.has(String(name)),
      keys: () => parts.roomNames(),
    };
  }

  override onmessage(pattern: string, channel: string | Buffer, message: Buffer): void {
    const name = channel.toString();
    if (!name.startsWith(this.channel)) return;
    const room = name.slice(this.channel.length, -1);
    // most rooms are elsewhere
    if (room !== '' && !this.rooms.has(room)) return;
    this.#parts.metrics.interopMessages.inc({ request: 'emit' });
    try {
      this.#checkSize(message);
      this.#doing = 'emit';
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
      this.#parts.metrics.interopMessages.inc({ request: kind });
      this.#allow(kind, rooms);
      if (kind === 'emit_with_ack') this.#parts.questions.begin(timeoutMs);
      this.#doing = kind;
      await super.onrequest(name, request);
    } catch (error) {
      this.#parts.refusals.count(error);
    }
  }

  override apply(opts: Filter, callback: (socket: Recipient) => void): void {
    const { audience, host } = this.#parts;
    if (this.#doing === 'emit') {
      const topic = audience.topic(opts);
      if (topic !== undefined) return callback(host.topic(topic));
    }
    const found = audience.find(opts);
    const lists = this.#doing === 'fetch' || this.#doing === 'sockets';
    if (lists && found.size > this.#limits.maxListed) {
      throw new Refused('limit', `more than ${this.#limits.maxListed} connections to be listed`);
    }
    for (const connection of found) callback(host.socket(connection));
  }

  /** @throws {Refused} what backend services may not do. */
  #allow(kind: RequestName, rooms: readonly string[]): void {
    if (kind === 'server_side_emit') throw new Refused('server_side_emit', 'serverSideEmit has no listeners here');
    if (kind === 'all_rooms' && this.#parts.roomNames().length > this.#limits.maxListed) {
      throw new Refused('limit', `more than ${this.#limits.maxListed} rooms to be listed`);
    }
    if (kind !== 'join' && kind !== 'leave') return;
    for (const room of rooms) {
      if (kindOf(room) !== 'free') {
        throw new Refused('room_membership', `members of "${room.slice(0, 64)}" are changed by commands or REST alone`);
      }
      if (room.length > maxFreeNameLength) throw new Refused('too_large', 'a name of a room that is too long');
    }
  }

  #checkSize(message: Buffer): void {
    const { maxMessageBytes } = this.#limits;
    if (message.length > maxMessageBytes) throw new Refused('too_large', `more than ${maxMessageBytes} bytes`);
  }
}
