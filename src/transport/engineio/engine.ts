/**
 * Engine.IO v4 over uWS: sessions born on a WebSocket, sessions born on long-polling, and the upgrade from one to the
 * other. Every handler that uWS calls is wrapped once, in `guard`: a throw in one ends the process.
 */
import uWS, {
  type HttpRequest,
  type HttpResponse,
  type TemplatedApp,
  type us_socket_context_t,
  type WebSocket,
  type WebSocketBehavior,
} from 'uWebSockets.js';
import type { ClientAddress } from '../../http/client-address.ts';
import { answer, isAmbiguous, type HttpAnswer } from '../../http/http.ts';
import { corsHeaders, preflightHeaders } from '../../http/origins.ts';
import { errorCatalogue, type ParleyError } from '../../protocol/errors.ts';
import type { Log } from '../../telemetry/log.ts';
import type { ClosedConnection, Metrics, RefusedHandshake } from '../../telemetry/metrics.ts';
import type { AddressUse } from './address-limit.ts';
import { Admission, type AdmissionSettings } from './admission.ts';
import { Candidate } from './candidate.ts';
import { checkRequest, engineErrors, newId, openPacket } from './handshake.ts';
import { Heartbeat } from './heartbeat.ts';
import { packet, type Frame } from './packet.ts';
import { LongPolling } from './long-polling.ts';
import { PollingWire } from './polling.ts';
import type { Session, Wire } from './transport-socket.ts';
import type { Topics } from './topics.ts';
import { every } from '../../jobs/periodic.ts';

export interface EngineSettings extends AdmissionSettings {
  readonly path: string;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  readonly upgradeTimeoutMs: number;
  readonly maxFrameBytes: number;
  readonly maxBufferedBytes: number;
  readonly compression: 'off' | 'shared';
  readonly origins: readonly string[] | undefined;
  readonly localOrigins: boolean;
  /** False: sessions begin as WebSockets only. */
  readonly longPolling: boolean;
}

/** What a handshake tells about its session; the query and headers are gone after it. */
export interface Handshaking {
  readonly address: AddressUse;
  readonly now: number;
  readonly query: URLSearchParams;
  readonly authorization: string;
  readonly userAgent: string;
}

/** Who speaks over the sessions: Socket.IO, or a bare Engine.IO application. */
export interface EngineHost<S extends Session> {
  create(handshaking: Handshaking): S;
  /** The session can send. */
  opened(session: S): void;
  /** Asked before a text frame is as much as decoded; the bytes are the engine's. A refused one has been answered. */
  admit?(session: S, frame: Uint8Array): boolean;
  /** A text frame over the limit came; the session is closed after this. `head` is the first bytes of the frame. */
  oversized?(session: S, head: Uint8Array): void;
  /** A message, without Engine.IO's type. Bytes are the host's own. */
  message(session: S, data: string | Buffer): void;
  closed(session: S): void;
}

export interface EngineParts {
  readonly app: TemplatedApp;
  readonly topics: Topics;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly clientAddress: ClientAddress;
  /** Why no newcomer may be taken now; undefined: come in. */
  readonly refuse?: () => ParleyError | undefined;
}

interface UserData<S extends Session> {
  readonly party: S | Candidate<S>;
}

type Headers = Readonly<Record<string, string>>;

const sweepMs = 1000;
/**
 * uWS cuts a connection over its limit without a close frame (1006). Frames up to this many times our limit are received,
 * and their senders learn why: by an ack with `too_large`, and by the close code 1009.
 */
const oversizeFactor = 4;
const oversizeHeadBytes = 64;

export class Engine<S extends Session> {
  readonly #settings: EngineSettings;
  readonly #parts: EngineParts;
  readonly #host: EngineHost<S>;
  readonly #sessions = new Set<S>();
  readonly #admission: Admission;
  readonly #heartbeat: Heartbeat;
  readonly #polling: LongPolling<S>;
  readonly #sweeper: NodeJS.Timeout;
  #toldOfPolling = false;

  constructor(settings: EngineSettings, parts: EngineParts, host: EngineHost<S>) {
    this.#settings = settings;
    this.#parts = parts;
    this.#host = host;
    this.#admission = new Admission(settings, parts.clientAddress, parts.refuse ?? (() => undefined));
    this.#heartbeat = new Heartbeat(parts.topics, settings.pingIntervalMs);
    const silence = settings.pingIntervalMs + settings.pingTimeoutMs;
    this.#polling = new LongPolling<S>({
      maxFrameBytes: settings.maxFrameBytes,
      silenceMs: silence,
      packet: (session, frame) => {
        if (typeof frame !== 'string' || this.#admits(session, Buffer.from(frame))) this.#packet(session, frame);
      },
      guard: (work) => this.guard(work),
    });
    this.#sweeper = every(
      () => this.guard(() => this.#sweep(performance.now(), silence)),
      Math.min(sweepMs, silence / 10),
    );
    this.#serve(parts.app);
  }

  all(): IterableIterator<S> {
    return this.#sessions.values();
  }

  /** Those who are connected stay until they are closed. */
  refuseNewcomers(): void {
    this.#admission.stop();
  }

  /** Closes every session at the transport, so that stock clients come back, to whoever serves then. */
  close(): void {
    this.#heartbeat.stop();
    clearInterval(this.#sweeper);
    for (const session of this.#sessions) session.close('draining', 'draining');
  }

  guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#parts.metrics.internalErrors.inc({ where: 'socket' });
      this.#parts.log.error({ err: error }, 'a socket handler failed');
    }
  }

  #serve(app: TemplatedApp): void {
    const { path, pingIntervalMs, pingTimeoutMs, maxFrameBytes, maxBufferedBytes } = this.#settings;
    const behavior: WebSocketBehavior<UserData<S>> = {
      maxPayloadLength: maxFrameBytes * oversizeFactor,
      maxBackpressure: maxBufferedBytes,
      // without it publish drops messages in the middle of the stream, silently
      closeOnBackpressureLimit: 1,
      // uWS takes 8 to 960 s, in steps of 4; the sweep is exact, this frees what it cannot see
      idleTimeout: Math.min(960, Math.max(8, Math.ceil((pingIntervalMs + pingTimeoutMs) / 1000) + 4)),
      sendPingsAutomatically: false,
      compression: this.#settings.compression === 'shared' ? uWS.SHARED_COMPRESSOR : uWS.DISABLED,
      upgrade: (res, req, context) => this.guard(() => this.#upgrade(res, req, context)),
      open: (ws) => this.guard(() => this.#open(ws)),
      message: (ws, message, isBinary) => this.guard(() => this.#message(ws, message, isBinary)),
      subscription: (_ws, topic, now, before) => this.guard(() => this.#parts.topics.nativeChanged(topic, now, before)),
      dropped: (ws) => this.guard(() => dropped(ws.getUserData().party)),
      close: (ws, code, message) => this.guard(() => this.#closed(ws, code, message)),
    };
    const request = (res: HttpResponse, req: HttpRequest): void => this.guard(() => this.#request(res, req));
    // Clients with `addTrailingSlash: false` leave the last slash out.
    const bare = path.replace(/\/$/, '');
    app.ws(path, behavior).ws(bare, behavior);
    app.any(`${path}*`, request).any(bare, request);
  }

  /** Everything at the path that is no WebSocket handshake. */
  #request(res: HttpResponse, req: HttpRequest): void {
    if (isAmbiguous(req)) {
      this.#parts.metrics.refused.inc({ reason: 'bad_request' });
      return void res.close();
    }
    const method = req.getMethod();
    // without a body, or it would be read as the next answer
    if (method === 'head') return answer(res, { status: 400, json: engineErrors.method }, true);
    const query = new URLSearchParams(req.getQuery());
    const headers = this.#headers(req);
    if (headers === undefined) return this.#refuse(res, 'origin', { status: 403, json: foreignOrigin });
    if (method === 'options') return answer(res, { status: 204, headers: { ...headers, ...preflightHeaders } });
    const upgrade = req.getHeader('upgrade') !== '';
    const error = checkRequest({ method, query, upgrade, webSocketVersion: req.getHeader('sec-websocket-version') });
    if (error !== undefined) return this.#badRequest(res, error, headers);
    // a WebSocket handshake that lacks its key comes here
    if (query.get('transport') === 'websocket') return this.#badRequest(res, engineErrors.request, headers);
    const sid = query.get('sid');
    if (sid === null && !this.#settings.longPolling) return this.#refusePolling(res, headers);
    if (sid === null) return this.#openPolling(res, req, query, headers);
    const exchange = { res, headers: { ...headers, ...pollHeaders } };
    const refused = method === 'get' ? this.#polling.get(sid, exchange) : this.#polling.post(sid, exchange);
    if (refused !== undefined) this.#badRequest(res, refused, headers);
  }

  #refusePolling(res: HttpResponse, headers: Headers): void {
    if (!this.#toldOfPolling) {
      this.#toldOfPolling = true;
      this.#parts.log.warn(
        "a client began with long-polling, which workers refuse: set its transports to ['websocket']",
      );
    }
    this.#badRequest(res, engineErrors.transport, headers);
  }

  #openPolling(res: HttpResponse, req: HttpRequest, query: URLSearchParams, headers: Headers): void {
    const address = this.#admit(res, req, headers);
    if (address === undefined) return;
    const session = this.#create(address, query, req);
    const sid = newId();
    const wire = new PollingWire(this.#parts.topics, this.#settings, (code, reason) => {
      this.#polling.delete(sid);
      this.#end(session, code, reason);
    });
    session.attach(wire);
    this.#polling.add(sid, session, wire);
    this.#begin(session);
    answer(res, {
      status: 200,
      headers: { ...headers, ...pollHeaders },
      body: openPacket(sid, ['websocket'], this.#settings),
    });
    this.#host.opened(session);
  }

  #upgrade(res: HttpResponse, req: HttpRequest, context: us_socket_context_t): void {
    const query = new URLSearchParams(req.getQuery());
    const error = checkRequest({
      method: req.getMethod(),
      query,
      upgrade: true,
      webSocketVersion: req.getHeader('sec-websocket-version'),
    });
    if (error !== undefined) return this.#badRequest(res, error, {});
    if (this.#headers(req) === undefined) return this.#refuse(res, 'origin', { status: 403, json: foreignOrigin });
    const party = this.#party(res, req, query);
    if (party === undefined) return;
    res.upgrade<UserData<S>>(
      { party },
      req.getHeader('sec-websocket-key'),
      req.getHeader('sec-websocket-protocol'),
      req.getHeader('sec-websocket-extensions'),
      context,
    );
  }

  /** Who is on the other side of a new WebSocket: a session of its own, or one that would leave long-polling. */
  #party(res: HttpResponse, req: HttpRequest, query: URLSearchParams): S | Candidate<S> | undefined {
    const sid = query.get('sid');
    if (sid !== null) {
      const entry = this.#polling.find(sid);
      if (entry === undefined) {
        this.#badRequest(res, engineErrors.session, {});
        return undefined;
      }
      return new Candidate(entry, this.#settings.upgradeTimeoutMs);
    }
    const address = this.#admit(res, req, {});
    if (address === undefined) return undefined;
    // counted from here on: close always follows
    return this.#create(address, query, req);
  }

  #create(address: AddressUse, query: URLSearchParams, req: HttpRequest): S {
    const [authorization, userAgent] = [req.getHeader('authorization'), req.getHeader('user-agent')];
    const session = this.#host.create({ address, now: Math.floor(performance.now()), query, authorization, userAgent });
    this.#sessions.add(session);
    return session;
  }

  /** @returns the address's share if a newcomer may come in; else it has been answered. */
  #admit(res: HttpResponse, req: HttpRequest, headers: Headers): AddressUse | undefined {
    const admitted = this.#admission.admit(res, req, this.#sessions.size);
    if (!('reason' in admitted)) return admitted;
    const { reason, error } = admitted;
    const retryAfter = String(Math.ceil((error.retryAfter ?? 1000) / 1000));
    const status = errorCatalogue[error.code].httpStatus;
    this.#refuse(res, reason, { status, json: error.toWire(), headers: { ...headers, 'Retry-After': retryAfter } });
    return undefined;
  }

  #open(ws: WebSocket<UserData<S>>): void {
    const { party } = ws.getUserData();
    if (party instanceof Candidate) return party.open(ws as Wire);
    party.attach(ws as Wire);
    this.#begin(party);
    party.send(openPacket(newId(), [], this.#settings));
    this.#host.opened(party);
  }

  #begin(session: S): void {
    this.#heartbeat.join(session);
    this.#parts.metrics.opened.inc();
    this.#parts.metrics.connections.inc();
  }

  #message(ws: WebSocket<UserData<S>>, message: ArrayBuffer, isBinary: boolean): void {
    const { party } = ws.getUserData();
    const session = party instanceof Candidate ? party.taken : party;
    if (session !== undefined && message.byteLength > this.#settings.maxFrameBytes) {
      if (session.closedFor !== undefined) return;
      if (!isBinary) this.#host.oversized?.(session, Buffer.from(message.slice(0, oversizeHeadBytes)));
      return session.close('too_large', 'too_large');
    }
    // uWS takes the buffer back after this turn: what is kept is copied out here
    const bytes = Buffer.from(isBinary ? message.slice(0) : message);
    if (session === undefined) (party as Candidate<S>).message(isBinary ? bytes : bytes.toString('utf8'));
    else if (isBinary) this.#packet(session, bytes);
    else if (this.#admits(session, bytes)) this.#packet(session, bytes.toString('utf8'));
  }

  /** Asked of every text, over whatever wire it comes. */
  #admits(session: S, text: Uint8Array): boolean {
    if (this.#host.admit?.(session, text) !== false) return true;
    session.heardAt = Math.floor(performance.now());
    return false;
  }

  #packet(session: S, frame: Frame): void {
    if (session.closedFor !== undefined) return;
    session.heardAt = Math.floor(performance.now());
    if (typeof frame !== 'string') return this.#host.message(session, frame as Buffer);
    switch (frame.charAt(0)) {
      case packet.message:
        return this.#host.message(session, frame.slice(1));
      case packet.pong:
        if (frame.length === 1) return;
        break;
      case packet.close:
        return session.end();
    }
    session.close('protocol_error', 'protocol_error');
  }

  #closed(ws: WebSocket<UserData<S>>, code: number, message: ArrayBuffer): void {
    const { party } = ws.getUserData();
    const reason = Buffer.from(message).toString('latin1');
    if (!(party instanceof Candidate)) return this.#end(party, code, reason);
    const upgraded = party.closed();
    if (upgraded === undefined) return;
    this.#polling.delete(upgraded.sid);
    this.#end(upgraded.session, code, reason);
  }

  /** The one end of every session, however it came. */
  #end(session: S, code: number, reason: string): void {
    if (!this.#sessions.delete(session)) return;
    session.detach();
    this.#admission.release(session.address);
    this.#parts.metrics.connections.dec();
    this.#parts.metrics.closed.inc({ reason: session.closedFor ?? closedBy(code, reason) });
    session.closedFor ??= 'client';
    this.#host.closed(session);
  }

  #sweep(now: number, silenceMs: number): void {
    this.#admission.sweep(now);
    const heardBefore = now - silenceMs;
    for (const session of this.#sessions) {
      if (session.heardAt < heardBefore) session.close('heartbeat', 'ping_timeout');
    }
  }

  /**
   * Headers of every answer to this request: the page of another origin may read it, and the connection closes if the
   * client asked for that (uWS closes but does not say so, and Node's fetch would send its next request into the void).
   * @returns undefined if the origin may not connect.
   */
  #headers(req: HttpRequest): Headers | undefined {
    const cors = corsHeaders(req, this.#settings);
    if (cors === undefined) return undefined;
    return req.getHeader('connection').toLowerCase() === 'close' ? { ...cors, Connection: 'close' } : cors;
  }

  #badRequest(res: HttpResponse, json: object, headers: Headers): void {
    this.#refuse(res, 'bad_request', { status: 400, json, headers });
  }

  #refuse(res: HttpResponse, reason: RefusedHandshake, http: HttpAnswer): void {
    this.#parts.metrics.refused.inc({ reason });
    answer(res, http);
  }
}

const foreignOrigin = { code: 4, message: 'Origin not allowed' };

const pollHeaders = { 'Cache-Control': 'no-store', 'Content-Type': 'text/plain; charset=UTF-8' };

/** Over its limit: uWS closes it, with no word of why. */
function dropped<S extends Session>(party: S | Candidate<S>): void {
  const session = party instanceof Candidate ? party.taken : party;
  if (session !== undefined) session.closedFor ??= 'slow_consumer';
}

/** uWS's own closes come as code 1006 with one of its texts. */
function closedBy(code: number, text: string): ClosedConnection {
  if (code !== 1006) return 'client';
  if (text.includes('too big')) return 'too_large';
  if (text.includes('timed out')) return 'heartbeat';
  if (text.includes('backpressure')) return 'slow_consumer';
  return text.includes('invalid') ? 'protocol_error' : 'client';
}
