/**
 * Engine.IO v4 over uWS: WebSocket frames to packets, for sessions of both transports. `requests.ts` has the handshakes and
 * long-polling, `sessions.ts` the beginning and the end of sessions, `candidate.ts` the upgrade.
 *
 * `guard` wraps every handler that uWS calls: an exception in one would end the process.
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
import type { ParleyError } from '../../protocol/errors.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { AddressUse } from './address-limit.ts';
import { Admission, type AdmissionSettings } from './admission.ts';
import { Candidate } from './candidate.ts';
import { newId, openPacket } from './handshake.ts';
import { Heartbeat } from './heartbeat.ts';
import { LongPolling } from './long-polling.ts';
import { Requests, type Party } from './requests.ts';
import { Sessions } from './sessions.ts';
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

/** The handshake of a new session. Its query and its headers are gone after it. */
export interface Handshaking {
  readonly address: AddressUse;
  readonly now: number;
  readonly query: URLSearchParams;
  readonly authorization: string;
  readonly userAgent: string;
}

/**
 * The protocol above Engine.IO: Socket.IO, or a bare Engine.IO application.
 *
 * The calls for one session come in the order of its packets, between `opened` and `closed`. Heartbeats and packets that
 * break Engine.IO's rules stay in the engine. A call that throws is logged; its packet is lost and the session stays.
 */
export interface EngineHost<S extends Session> {
  create(handshaking: Handshaking): S;
  /** The session can send. */
  opened(session: S): void;
  /**
   * @param frame a message as text, with Engine.IO's `4` before it. uWS reuses the bytes after this turn.
   * @returns false for a violation of the protocol, for which the engine closes the session.
   */
  text(session: S, frame: Buffer): boolean;
  /** @param data a binary message; the bytes belong to the host. @returns as `text`. */
  binary(session: S, data: Buffer): boolean;
  /** A text frame over the limit came; the engine closes the session after this. `head` is the first bytes of the frame. */
  oversized?(session: S, head: Buffer): void;
  closed(session: S): void;
}

export interface EngineParts {
  readonly app: TemplatedApp;
  readonly topics: Topics;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly clientAddress: ClientAddress;
  /** The error of a handshake while no new connection is admitted; undefined: new connections are admitted. */
  readonly refuse?: () => ParleyError | undefined;
}

interface UserData<S extends Session> {
  readonly party: Party<S>;
}

const sweepMs = 1000;
/**
 * uWS cuts a connection over its limit without a close frame (1006). Frames up to this many times our limit are received, so
 * that their senders get an ack with `too_large` and the close code 1009.
 */
const oversizeFactor = 4;
const oversizeHeadBytes = 64;
/** Types of packets, as the first byte of a text frame. */
const [messageType, pongType, closeType] = [0x34, 0x33, 0x31];

export class Engine<S extends Session> {
  readonly #settings: EngineSettings;
  readonly #parts: EngineParts;
  readonly #host: EngineHost<S>;
  readonly #admission: Admission;
  readonly #heartbeat: Heartbeat;
  readonly #sessions: Sessions<S>;
  readonly #polling: LongPolling<S>;
  readonly #requests: Requests<S>;
  readonly #sweeper: NodeJS.Timeout;

  constructor(settings: EngineSettings, parts: EngineParts, host: EngineHost<S>) {
    const { topics, metrics, log, clientAddress } = parts;
    const guard = (work: () => void): void => this.guard(work);
    this.#settings = settings;
    this.#parts = parts;
    this.#host = host;
    const admission = new Admission(settings, clientAddress, parts.refuse ?? (() => undefined));
    this.#admission = admission;
    const heartbeat = new Heartbeat(topics, settings.pingIntervalMs);
    this.#heartbeat = heartbeat;
    const sessions = new Sessions<S>({ host, admission, heartbeat, metrics });
    this.#sessions = sessions;
    const silenceMs = settings.pingIntervalMs + settings.pingTimeoutMs;
    const polling = new LongPolling<S>({
      maxFrameBytes: settings.maxFrameBytes,
      silenceMs,
      packet: (session, { bytes, isBinary }) => (isBinary ? this.#binary(session, bytes) : this.#text(session, bytes)),
      guard,
    });
    this.#polling = polling;
    this.#requests = new Requests<S>(settings, { host, sessions, admission, polling, topics, metrics, log });
    this.#sweeper = every(
      () => guard(() => this.#sweep(performance.now(), silenceMs)),
      Math.min(sweepMs, silenceMs / 10),
    );
    this.#serve(parts.app);
  }

  all(): IterableIterator<S> {
    return this.#sessions.all();
  }

  /** Refuses new connections from now on. Open ones stay until they are closed. */
  refuseConnections(): void {
    this.#admission.stop();
  }

  close(): void {
    this.#heartbeat.stop();
    clearInterval(this.#sweeper);
    this.#sessions.drain();
  }

  guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#parts.metrics.internalErrors.inc({ where: 'socket' });
      this.#parts.log.error({ err: error }, 'A handler of sockets failed; one packet or request is lost.');
    }
  }

  #serve(app: TemplatedApp): void {
    const { path, pingIntervalMs, pingTimeoutMs, maxFrameBytes, maxBufferedBytes } = this.#settings;
    const behavior: WebSocketBehavior<UserData<S>> = {
      maxPayloadLength: maxFrameBytes * oversizeFactor,
      maxBackpressure: maxBufferedBytes,
      // without this option publish drops frames in the middle of the stream without an error
      closeOnBackpressureLimit: 1,
      // uWS accepts 8 to 960 s, in steps of 4; the sweep is exact, and this closes sockets that the sweep does not know
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
    const request = (res: HttpResponse, req: HttpRequest): void => this.guard(() => this.#requests.answer(res, req));
    // clients with `addTrailingSlash: false` omit the last slash
    const bare = path.replace(/\/$/, '');
    app.ws(path, behavior).ws(bare, behavior);
    app.any(`${path}*`, request).any(bare, request);
  }

  #upgrade(res: HttpResponse, req: HttpRequest, context: us_socket_context_t): void {
    const party = this.#requests.upgrade(res, req);
    if (party === undefined) return;
    res.upgrade<UserData<S>>(
      { party },
      req.getHeader('sec-websocket-key'),
      req.getHeader('sec-websocket-protocol'),
      req.getHeader('sec-websocket-extensions'),
      context,
    );
  }

  #open(ws: WebSocket<UserData<S>>): void {
    const { party } = ws.getUserData();
    if (party instanceof Candidate) return party.open(ws as Wire);
    party.attach(ws as Wire);
    this.#sessions.begin(party);
    party.send(openPacket(newId(), [], this.#settings));
    this.#host.opened(party);
  }

  #message(ws: WebSocket<UserData<S>>, message: ArrayBuffer, isBinary: boolean): void {
    const { party } = ws.getUserData();
    const session = party instanceof Candidate ? party.taken : party;
    if (session !== undefined && message.byteLength > this.#settings.maxFrameBytes) {
      if (session.closedFor !== undefined) return;
      if (!isBinary) this.#host.oversized?.(session, Buffer.from(message.slice(0, oversizeHeadBytes)));
      return session.close('too_large', 'too_large');
    }
    // uWS reuses the memory of the frame after this turn, so bytes that are kept are copied here
    const bytes = Buffer.from(isBinary ? message.slice(0) : message);
    if (session === undefined) (party as Candidate<S>).message(isBinary ? bytes : bytes.toString('utf8'));
    else if (isBinary) this.#binary(session, bytes);
    else this.#text(session, bytes);
  }

  /** A text frame of either transport. */
  #text(session: S, frame: Buffer): void {
    if (session.closedFor !== undefined) return;
    session.lastPacketAt = Math.floor(performance.now());
    const type = frame[0];
    if (type === closeType) return session.end();
    const valid = type === messageType ? this.#host.text(session, frame) : type === pongType && frame.byteLength === 1;
    if (!valid) session.close('protocol_error', 'protocol_error');
  }

  #binary(session: S, data: Buffer): void {
    if (session.closedFor !== undefined) return;
    session.lastPacketAt = Math.floor(performance.now());
    if (!this.#host.binary(session, data)) session.close('protocol_error', 'protocol_error');
  }

  #closed(ws: WebSocket<UserData<S>>, code: number, message: ArrayBuffer): void {
    const { party } = ws.getUserData();
    const reason = Buffer.from(message).toString('latin1');
    if (!(party instanceof Candidate)) return this.#sessions.end(party, code, reason);
    const upgraded = party.closed();
    if (upgraded === undefined) return;
    this.#polling.delete(upgraded.sid);
    this.#sessions.end(upgraded.session, code, reason);
  }

  #sweep(now: number, silenceMs: number): void {
    this.#admission.sweep(now);
    this.#sessions.closeSilent(now - silenceMs);
  }
}

/** uWS closes a WebSocket over its buffer limit without a reason, so the reason is noted here. */
function dropped<S extends Session>(party: Party<S>): void {
  const session = party instanceof Candidate ? party.taken : party;
  if (session !== undefined) session.closedFor ??= 'slow_consumer';
}
