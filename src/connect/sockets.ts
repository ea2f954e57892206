/** Socket.IO v5 over Engine.IO: packets in, each to its namespace, violations closed. */
import type { Metrics } from '../telemetry/metrics.ts';
import type { Log } from '../telemetry/log.ts';
import { Connection } from '../hub/connection.ts';
import { newId } from '../transport/engineio/handshake.ts';
import type { Handshaking, EngineHost } from '../transport/engineio/engine.ts';
import { Assembly } from '../transport/socketio/attachments.ts';
import { encodeConnectError, encodeDisconnect } from '../transport/socketio/encode.ts';
import { decodeMsgpack } from '../transport/socketio/msgpack.ts';
import type { EventArgs, Packet } from '../transport/socketio/packet.ts';
import { decodeText, textEvent } from '../transport/socketio/text.ts';
import { every } from '../jobs/periodic.ts';

/** Who answers on the namespaces: Parley, or the small application of the conformance suites. */
export interface SocketApp {
  readonly namespaces: ReadonlySet<string>;
  connect(connection: Connection, namespace: string, payload: object | undefined): void;
  /** @param asked whether `admit` was asked about it: not of msgpack, nor with attachments, before all of it was here. */
  event(connection: Connection, namespace: string, args: EventArgs, ack: string, asked: boolean): void;
  /** A packet came that nobody waits for: an ack, or CONNECT to a namespace that there is not. */
  stray?(connection: Connection, packet: 'ack' | 'connect'): void;
  /** A message came, of so many bytes: before `admit`, and before it is decoded. */
  received?(connection: Connection, bytes: number): void;
  /** Asked before a text frame is as much as decoded. A refused one has been answered. */
  admit?(connection: Connection, frame: Uint8Array): boolean;
  /** A text frame over the limit came, for which the connection is closed. */
  oversized?(connection: Connection, head: Uint8Array): void;
  /** The client left the namespace, or its connection ended. */
  disconnected(connection: Connection, namespace: string): void;
  /** The connection ended, after it left its namespaces. */
  ended?(connection: Connection): void;
}

export interface SocketSettings {
  readonly connectTimeoutMs: number;
  readonly commandBurst: number;
  /** Whether `?token=` counts. */
  readonly tokenInUrl: boolean;
}

export class Sockets implements EngineHost<Connection> {
  readonly #settings: SocketSettings;
  readonly #app: SocketApp;
  readonly #sweeper: NodeJS.Timeout;
  readonly #connections = new Set<Connection>();

  constructor(settings: SocketSettings, app: SocketApp, parts: { metrics: Metrics; log: Log }) {
    this.#settings = settings;
    this.#app = app;
    this.#sweeper = every(
      () => {
        try {
          this.#sweep(Date.now(), performance.now());
        } catch (error) {
          parts.metrics.internalErrors.inc({ where: 'sweep' });
          parts.log.error({ err: error }, 'the sweep of connections failed');
        }
      },
      Math.min(1000, settings.connectTimeoutMs / 5),
    );
  }

  stop(): void {
    clearInterval(this.#sweeper);
  }

  create({ address, now, query, authorization, userAgent }: Handshaking): Connection {
    const form = query.get('parser') === 'msgpack' ? 'msgpack' : 'json';
    const token = authorization.startsWith('Bearer ')
      ? authorization.slice('Bearer '.length)
      : this.#settings.tokenInUrl
        ? (query.get('token') ?? undefined)
        : undefined;
    // `~` is in no room id: a room cannot be named after somebody's connection, and get what backends send to that
    return new Connection(`~${newId()}`, address, now, form, this.#settings.commandBurst, token, shortAgent(userAgent));
  }

  opened(connection: Connection): void {
    this.#connections.add(connection);
  }

  closed(connection: Connection): void {
    this.#connections.delete(connection);
    const wasIn = [...(connection.namespaces ?? [])];
    if (connection.state !== 'open') wasIn.push('/');
    connection.state = 'closed';
    for (const namespace of wasIn) this.#app.disconnected(connection, namespace);
    this.#app.ended?.(connection);
  }

  admit(connection: Connection, frame: Uint8Array): boolean {
    this.#app.received?.(connection, frame.byteLength);
    return this.#app.admit?.(connection, frame) ?? true;
  }

  oversized(connection: Connection, head: Uint8Array): void {
    this.#app.oversized?.(connection, head);
  }

  /** DISCONNECT by the server: stock clients do not come back by themselves. */
  disconnect(connection: Connection): void {
    if (connection.state !== 'ready') return;
    connection.sendFrames(encodeDisconnect(connection.form, '/'));
    this.#leave(connection, '/');
  }

  message(connection: Connection, data: string | Buffer): void {
    const packet = this.#decode(connection, data);
    if (packet === 'incomplete') return;
    const asked = typeof data === 'string' && data.startsWith(textEvent);
    if (packet === 'invalid' || !this.#handle(connection, packet, asked)) {
      connection.close('protocol_error', 'protocol_error');
    }
  }

  #decode(connection: Connection, data: string | Buffer): Packet | 'invalid' | 'incomplete' {
    const { assembly } = connection;
    if (typeof data !== 'string') {
      this.#app.received?.(connection, data.byteLength);
      if (connection.form === 'msgpack') return decodeMsgpack(data) ?? 'invalid';
      if (assembly === undefined) return 'invalid';
      const whole = assembly.add(data);
      if (whole !== undefined) connection.assembly = undefined;
      return whole ?? 'incomplete';
    }
    // text while attachments are awaited is a violation; a client of msgpack writes none at all
    if (assembly !== undefined || connection.form === 'msgpack') return 'invalid';
    const decoded = decodeText(data);
    if (decoded === undefined) return 'invalid';
    if (!('attachments' in decoded)) return decoded;
    connection.assembly = new Assembly(decoded, performance.now());
    return 'incomplete';
  }

  /** @returns false for a violation. */
  #handle(connection: Connection, packet: Packet, asked: boolean): boolean {
    const { namespace } = packet;
    const joined = namespace === '/' ? connection.state === 'ready' : (connection.namespaces?.has(namespace) ?? false);
    if (packet.type === 'connect') {
      if (!this.#app.namespaces.has(namespace)) {
        connection.sendFrames(encodeConnectError(connection.form, namespace, 'Invalid namespace'));
        this.#app.stray?.(connection, 'connect');
        return true;
      }
      if (joined || (namespace === '/' && connection.state !== 'open')) return false;
      this.#app.connect(connection, namespace, packet.payload);
      return true;
    }
    if (!joined) return false;
    if (packet.type === 'event') {
      this.#app.event(connection, namespace, packet.args, packet.ack, asked);
    } else if (packet.type === 'ack') {
      if (!connection.answered(packet.ack, packet.args)) this.#app.stray?.(connection, 'ack');
    } else {
      this.#leave(connection, namespace);
    }
    return true;
  }

  /** DISCONNECT of a namespace: the connection stays, for another CONNECT, as long as it would wait for the first. */
  #leave(connection: Connection, namespace: string): void {
    if (namespace === '/') connection.state = 'open';
    else connection.namespaces?.delete(namespace);
    connection.openedAt = Math.floor(performance.now());
    this.#app.disconnected(connection, namespace);
  }

  /** All connections once a second, instead of timers of their own: 15,000 take about half a millisecond. */
  #sweep(clock: number, now: number): void {
    const late = now - this.#settings.connectTimeoutMs;
    for (const connection of this.#connections) {
      if (connection.state === 'ready') {
        if (connection.expires <= clock) connection.close('token_expired', 'token_expired');
      } else if (connection.openedAt < late && (connection.namespaces?.size ?? 0) === 0) {
        connection.close('connect_timeout', 'connect_timeout');
      }
      // announced attachments that never come would leave it mute
      if (connection.assembly !== undefined && connection.assembly.since < late) {
        connection.close('protocol_error', 'protocol_error');
      }
    }
  }
}

const agentLength = 120;

/** As much of it as tells one device from another, without what a terminal would take for commands. */
function shortAgent(userAgent: string): string | null {
  const text = userAgent.slice(0, agentLength).replaceAll(/[^\x20-\x7e]/g, '');
  return text === '' ? null : text;
}
