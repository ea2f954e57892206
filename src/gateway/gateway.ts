/** The sockets: handshake, frames in, connections closed. Every uWS handler is wrapped once, in `guard`: a throw in one ends the process. */
import uWS, {
  type HttpRequest,
  type HttpResponse,
  type TemplatedApp,
  type us_socket_context_t,
  type WebSocket,
} from 'uWebSockets.js';
import { answer, type HttpAnswer } from '../api/http.ts';
import { ParleyError } from '../protocol/errors.ts';
import { clientError } from '../storage/failure.ts';
import type { Log } from '../telemetry/log.ts';
import type { ClosedConnection, Metrics, RefusedHandshake } from '../telemetry/metrics.ts';
import { AddressLimit } from './address-limit.ts';
import type { Arrival } from './arrival.ts';
import type { Commands } from './commands.ts';
import { Connection, type UserData } from './connection.ts';
import type { Connections } from './connections.ts';
import { checkHandshake, newId, openPacket, packet } from './engine.ts';
import { Heartbeat } from './heartbeat.ts';
import { originAllowed } from './origins.ts';
import { connectErrorFrame, decodePacket, type Packet } from './packets.ts';

export interface GatewaySettings {
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly maxFrameBytes: number;
  readonly maxBufferedBytes: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  readonly commandBurst: number;
  readonly origins: readonly string[] | undefined;
  readonly localOrigins: boolean;
}

export interface GatewayParts {
  readonly app: TemplatedApp;
  readonly connections: Connections;
  readonly arrival: Arrival;
  readonly commands: Commands;
  readonly metrics: Metrics;
  readonly log: Log;
}

const socketPath = '/socket.io/';

export class Gateway {
  readonly #settings: GatewaySettings;
  readonly #parts: GatewayParts;
  readonly #addresses: AddressLimit;
  readonly #heartbeat: Heartbeat;
  #stopping = false;

  constructor(settings: GatewaySettings, parts: GatewayParts) {
    this.#settings = settings;
    this.#parts = parts;
    this.#addresses = new AddressLimit(settings.maxConnectionsPerAddress);
    this.#heartbeat = new Heartbeat(
      { ...parts, topics: parts.app, connectTimeoutMs: settings.connectTimeoutMs },
      settings.pingIntervalMs,
    );
    this.#serve(parts.app);
  }

  /** Refuses newcomers; those who are connected stay until `closeAll`. */
  drain(): void {
    this.#stopping = true;
  }

  /** Closes every connection at the transport, so that stock clients come back, to whoever serves then. */
  closeAll(): void {
    this.#heartbeat.stop();
    for (const connection of this.#parts.connections.all()) connection.close('draining', 'draining');
  }

  #serve(app: TemplatedApp): void {
    const { pingIntervalMs, pingTimeoutMs, maxFrameBytes, maxBufferedBytes } = this.#settings;
    app.ws<UserData>(socketPath, {
      maxPayloadLength: maxFrameBytes,
      maxBackpressure: maxBufferedBytes,
      // without it publish drops messages in the middle of the stream, silently
      closeOnBackpressureLimit: 1,
      // uWS takes 8 to 960 s; only what is received resets it, so it must exceed the time between two pongs
      idleTimeout: Math.min(960, Math.max(8, Math.ceil((pingIntervalMs + pingTimeoutMs) / 1000))),
      sendPingsAutomatically: false,
      compression: uWS.DISABLED,
      upgrade: (res, req, context) => this.#guard(() => this.#upgrade(res, req, context)),
      open: (ws) => this.#guard(() => this.#open(ws)),
      message: (ws, message, isBinary) =>
        this.#guard(() => this.#message(ws.getUserData().connection, message, isBinary)),
      subscription: (_ws, topic, now, before) => this.#guard(() => this.#subscription(topic, now, before)),
      close: (ws, code, message) => this.#guard(() => this.#close(ws.getUserData().connection, code, message)),
    });
    app.any(`${socketPath}*`, (res, req) => this.#guard(() => this.#plainRequest(res, req)));
  }

  #guard(handle: () => void): void {
    try {
      handle();
    } catch (error) {
      this.#parts.metrics.internalErrors.inc({ where: 'socket' });
      this.#parts.log.error({ err: error }, 'a socket handler failed');
    }
  }

  /** A request for the socket path that is no WebSocket handshake. */
  #plainRequest(res: HttpResponse, req: HttpRequest): void {
    const error = checkHandshake({
      method: req.getMethod(),
      query: req.getQuery(),
      upgrade: req.getHeader('upgrade') !== '',
      webSocketVersion: '',
    });
    this.#refuse(res, 'bad_request', { status: 400, json: error ?? { code: 3, message: 'Bad request' } });
  }

  #upgrade(res: HttpResponse, req: HttpRequest, context: us_socket_context_t): void {
    const query = req.getQuery();
    const error = checkHandshake({
      method: req.getMethod(),
      query,
      upgrade: true,
      webSocketVersion: req.getHeader('sec-websocket-version'),
    });
    if (error !== undefined) return this.#refuse(res, 'bad_request', { status: 400, json: error });
    const origin = req.getHeader('origin');
    if (!originAllowed(origin, req.getHeader('host'), this.#settings)) {
      return this.#refuse(res, 'origin', { status: 403, json: { code: 4, message: 'Origin not allowed' } });
    }
    if (this.#stopping)
      return this.#turnAway(res, 'draining', new ParleyError('draining', undefined, { retryAfter: 1000 }), 503);
    if (this.#parts.connections.count >= this.#settings.maxConnections) {
      return this.#turnAway(
        res,
        'connections',
        new ParleyError('overloaded', 'The server holds as many connections as it may.', { retryAfter: 5000 }),
        503,
      );
    }
    const address = this.#addresses.take(Buffer.from(res.getRemoteAddressAsText()).toString('latin1'));
    if (address === undefined) {
      return this.#turnAway(
        res,
        'address',
        new ParleyError('rate_limited', 'This address holds as many connections as it may.', { retryAfter: 5000 }),
        429,
      );
    }
    const token = handshakeToken(query, req.getHeader('authorization'));
    const connection = new Connection(newId(), address, performance.now(), this.#settings.commandBurst, token);
    // counted from here on: close always follows
    this.#parts.connections.open(connection);
    res.upgrade<UserData>(
      { connection },
      req.getHeader('sec-websocket-key'),
      req.getHeader('sec-websocket-protocol'),
      req.getHeader('sec-websocket-extensions'),
      context,
    );
  }

  #refuse(res: HttpResponse, reason: RefusedHandshake, http: HttpAnswer): void {
    this.#parts.metrics.refused.inc({ reason });
    answer(res, http);
  }

  #turnAway(res: HttpResponse, reason: RefusedHandshake, error: ParleyError, status: number): void {
    const retryAfter = String(Math.ceil((error.retryAfter ?? 1000) / 1000));
    this.#refuse(res, reason, { status, json: error.toWire(), headers: { 'Retry-After': retryAfter } });
  }

  #open(ws: WebSocket<UserData>): void {
    const connection = ws.getUserData().connection;
    connection.attach(ws);
    this.#heartbeat.join(connection);
    this.#parts.metrics.opened.inc();
    this.#parts.metrics.connections.inc();
    connection.send(openPacket(this.#settings));
  }

  #message(connection: Connection, message: ArrayBuffer, isBinary: boolean): void {
    if (connection.closedFor !== undefined) return;
    // text is copied out here: the buffer is gone after this turn
    const text = isBinary ? '' : Buffer.from(message).toString('utf8');
    switch (text.charAt(0)) {
      case packet.message: {
        const decoded = decodePacket(text.slice(1));
        if (decoded === undefined) connection.close('protocol_error', 'protocol_error');
        else this.#packet(connection, decoded);
        return;
      }
      case packet.pong:
        if (text.length === 1) return; // uWS has noted that it is alive
        break;
      case packet.close:
        connection.end();
        return;
    }
    connection.close('protocol_error', 'protocol_error');
  }

  #packet(connection: Connection, decoded: Packet): void {
    const { user } = connection;
    if (decoded.type === 'connect') {
      if (decoded.namespace !== '/') connection.send(connectErrorFrame(decoded.namespace, 'Invalid namespace'));
      else if (connection.state === 'open') void this.#connect(connection, decoded.payload);
      else connection.close('protocol_error', 'protocol_error');
    } else if (connection.state !== 'ready' || user === undefined || decoded.namespace !== '/') {
      connection.close('protocol_error', 'protocol_error');
    } else if (decoded.type === 'event') {
      this.#parts.commands.run(connection, user, decoded.ack, decoded.args);
    } else if (decoded.type === 'disconnect') {
      connection.end();
    }
    // an ack answers nothing that Parley asks yet
  }

  async #connect(connection: Connection, payload: unknown): Promise<void> {
    try {
      await this.#parts.arrival.connect(connection, payload);
    } catch (thrown) {
      let error = clientError(thrown);
      if (!(error instanceof ParleyError)) {
        this.#parts.metrics.internalErrors.inc({ where: 'socket' });
        this.#parts.log.error({ err: error, session: connection.session }, 'a connection could not be set up');
        error = new ParleyError('internal');
      }
      const told = error as ParleyError;
      this.#parts.metrics.commands.inc({ command: 'connect', outcome: told.code });
      if (connection.state === 'ready') connection.close('draining', 'unavailable');
      else connection.send(connectErrorFrame('/', told.message, told.toWire()));
      return;
    }
    this.#parts.metrics.commands.inc({ command: 'connect', outcome: 'ok' });
  }

  /** uWS tells each change of a topic's subscribers, at a close too: so rooms are known to be occupied without a count of ours. */
  #subscription(topic: ArrayBuffer, now: number, before: number): void {
    if (now !== 0 && before !== 0) return;
    const name = Buffer.from(topic).toString('latin1');
    if (!name.startsWith('r:')) return;
    if (now === 0) this.#parts.connections.vacated(name.slice(2));
    else this.#parts.connections.occupied(name.slice(2));
  }

  #close(connection: Connection, code: number, message: ArrayBuffer): void {
    connection.detach();
    this.#parts.connections.close(connection);
    this.#addresses.release(connection.address);
    this.#parts.metrics.connections.dec();
    this.#parts.metrics.closed.inc({
      reason: connection.closedFor ?? closedBy(code, Buffer.from(message).toString('latin1')),
    });
  }
}

function handshakeToken(query: string, authorization: string): string | undefined {
  if (authorization.startsWith('Bearer ')) return authorization.slice('Bearer '.length);
  return query.includes('token=') ? (new URLSearchParams(query).get('token') ?? undefined) : undefined;
}

/** uWS's own closes come as code 1006 with one of its texts. */
function closedBy(code: number, text: string): ClosedConnection {
  if (code !== 1006) return 'client';
  if (text.includes('too big')) return 'too_large';
  if (text.includes('timed out')) return 'heartbeat';
  if (text.includes('backpressure')) return 'slow_consumer';
  return text.includes('invalid') ? 'protocol_error' : 'client';
}
