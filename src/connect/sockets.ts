/** Socket.IO v5 over Engine.IO: reads packets, gives each to its namespace, and reports violations to the engine. */
import type { Metrics } from '../telemetry/metrics.ts';
import type { Log } from '../telemetry/log.ts';
import { Connection } from '../hub/connection.ts';
import { newId } from '../transport/engineio/handshake.ts';
import type { Handshaking, EngineHost } from '../transport/engineio/engine.ts';
import { Assembly } from '../transport/socketio/attachments.ts';
import { encodeConnectError, encodeDisconnect } from '../transport/socketio/encode.ts';
import { decodeMsgpack } from '../transport/socketio/msgpack.ts';
import type { Packet } from '../transport/socketio/packet.ts';
import { decodeText, peekHeader, type Header } from '../transport/socketio/text.ts';
import { every } from '../jobs/periodic.ts';
import type { SocketApp } from './socket-app.ts';

export interface SocketSettings {
  readonly connectTimeoutMs: number;
  readonly commandBurst: number;
  /** Whether a token in the query of the handshake is accepted. */
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
          parts.log.error(
            { err: error },
            'Could not check all connections; retrying in a second. Expired tokens keep their connections until then.',
          );
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
    // no room id has a `~`, so no room can take the name of a connection and receive its events of back ends
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

  oversized(connection: Connection, head: Buffer): void {
    const header = connection.form === 'json' ? peekHeader(head) : undefined;
    if (header?.type !== 'event' || header.attachments > 0 || !hasJoined(connection, header.namespace)) return;
    if (header.ack !== undefined) this.#app.admission?.oversized(connection, header.ack);
  }

  /** DISCONNECT by the server, after which stock clients do not reconnect by themselves. */
  disconnect(connection: Connection): void {
    if (connection.state !== 'ready') return;
    connection.sendFrames(encodeDisconnect(connection.form, '/'));
    this.#leave(connection, '/');
  }

  text(connection: Connection, frame: Buffer): boolean {
    this.#app.admission?.received(connection, frame.byteLength);
    // attachments are binary frames, and so are all packets of msgpack
    if (connection.assembly !== undefined || connection.form === 'msgpack') return false;
    const header = peekHeader(frame);
    // an unexpected ack is dropped by admission, whatever it holds
    if (header === undefined || (header.type === 'event' && !header.valid)) return false;
    if (header.attachments === 0 && !this.#admits(connection, header)) return true;
    const packet = decodeText(header);
    if (packet === undefined) return false;
    if (!('attachments' in packet)) return this.#deliver(connection, packet);
    connection.assembly = new Assembly(packet, performance.now());
    return true;
  }

  binary(connection: Connection, data: Buffer): boolean {
    this.#app.admission?.received(connection, data.byteLength);
    const packet = connection.form === 'msgpack' ? (decodeMsgpack(data) ?? 'invalid') : attach(connection, data);
    if (packet === 'incomplete') return true;
    if (packet === 'invalid') return false;
    return !this.#admits(connection, packet) || this.#deliver(connection, packet);
  }

  /** CONNECT and DISCONNECT need no admission. Packets of other namespaces are violations, and `#deliver` reports them. */
  #admits(connection: Connection, packet: Header | Packet): boolean {
    const { type, namespace } = packet;
    if (type === 'connect' || type === 'disconnect' || !hasJoined(connection, namespace)) return true;
    return this.#app.admission?.admit(connection, packet) ?? true;
  }

  /** @returns false for a violation. */
  #deliver(connection: Connection, packet: Packet): boolean {
    const { namespace } = packet;
    const joined = hasJoined(connection, namespace);
    if (packet.type === 'connect') {
      if (!this.#app.namespaces.has(namespace)) {
        connection.sendFrames(encodeConnectError(connection.form, namespace, 'Invalid namespace'));
        this.#app.admission?.unexpected(connection, 'connect');
        return true;
      }
      if (joined || (namespace === '/' && connection.state !== 'open')) return false;
      this.#app.connect(connection, namespace, packet.payload);
      return true;
    }
    if (!joined) return false;
    if (packet.type === 'event') {
      this.#app.events.run(connection, packet);
    } else if (packet.type === 'ack') {
      if (!connection.answered(packet.ack, packet.args)) this.#app.admission?.unexpected(connection, 'ack');
    } else {
      this.#leave(connection, namespace);
    }
    return true;
  }

  /** DISCONNECT of a namespace: the connection stays open for another CONNECT, as long as after its handshake. */
  #leave(connection: Connection, namespace: string): void {
    if (namespace === '/') connection.state = 'open';
    else connection.namespaces?.delete(namespace);
    connection.openedAt = Math.floor(performance.now());
    this.#app.disconnected(connection, namespace);
  }

  /** Checks all connections once a second, instead of a timer for each: 15,000 take about half a millisecond. */
  #sweep(clock: number, now: number): void {
    const late = now - this.#settings.connectTimeoutMs;
    for (const connection of this.#connections) {
      if (connection.state === 'ready') {
        if (connection.expires <= clock) connection.close('token_expired', 'token_expired');
      } else if (connection.openedAt < late && (connection.namespaces?.size ?? 0) === 0) {
        connection.close('connect_timeout', 'connect_timeout');
      }
      // a connection that awaits attachments may send nothing else
      if (connection.assembly !== undefined && connection.assembly.since < late) {
        connection.close('protocol_error', 'protocol_error');
      }
    }
  }
}

/** Adds an attachment to the packet that announced it. */
function attach(connection: Connection, data: Buffer): Packet | 'invalid' | 'incomplete' {
  const { assembly } = connection;
  if (assembly === undefined) return 'invalid';
  const whole = assembly.add(data);
  if (whole !== undefined) connection.assembly = undefined;
  return whole ?? 'incomplete';
}

function hasJoined(connection: Connection, namespace: string): boolean {
  return namespace === '/' ? connection.state === 'ready' : (connection.namespaces?.has(namespace) ?? false);
}

const agentLength = 120;

/** Enough of the User-Agent to distinguish devices, without control characters, which a terminal would obey. */
function shortAgent(userAgent: string): string | null {
  const text = userAgent.slice(0, agentLength).replaceAll(/[^\x20-\x7e]/g, '');
  return text === '' ? null : text;
}
