import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { answer, isAmbiguous, type HttpAnswer } from '../../http/http.ts';
import { corsHeaders, preflightHeaders } from '../../http/origins.ts';
import { errorCatalogue } from '../../protocol/errors.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics, RefusedHandshake } from '../../telemetry/metrics.ts';
import type { AddressUse } from './address-limit.ts';
import type { Admission } from './admission.ts';
import { Candidate } from './candidate.ts';
import type { EngineHost, EngineSettings } from './engine.ts';
import { checkRequest, engineErrors, newId, openPacket } from './handshake.ts';
import type { LongPolling } from './long-polling.ts';
import { PollingWire } from './polling.ts';
import type { Sessions } from './sessions.ts';
import type { Topics } from './topics.ts';
import type { Session } from './transport-socket.ts';

export interface RequestParts<S extends Session> {
  readonly host: EngineHost<S>;
  readonly sessions: Sessions<S>;
  readonly admission: Admission;
  readonly polling: LongPolling<S>;
  readonly topics: Topics;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** The owner of a WebSocket: a session that begins with it, or a candidate for a long-polling session. */
export type Party<S extends Session> = S | Candidate<S>;

type Headers = Readonly<Record<string, string>>;

const foreignOrigin = { code: 4, message: 'Origin not allowed' };
const pollHeaders = { 'Cache-Control': 'no-store', 'Content-Type': 'text/plain; charset=UTF-8' };

/** The HTTP requests at Engine.IO's path: the handshakes of both transports, and the GETs and POSTs of long-polling. */
export class Requests<S extends Session> {
  readonly #settings: EngineSettings;
  readonly #parts: RequestParts<S>;
  #pollingRefusalLogged = false;

  constructor(settings: EngineSettings, parts: RequestParts<S>) {
    this.#settings = settings;
    this.#parts = parts;
  }

  /** Answers a request that is no WebSocket handshake. */
  answer(res: HttpResponse, req: HttpRequest): void {
    const { metrics, polling } = this.#parts;
    if (isAmbiguous(req)) {
      metrics.refused.inc({ reason: 'bad_request' });
      return void res.close();
    }
    const method = req.getMethod();
    // without a body, or it would be read as the next answer
    if (method === 'head') return answer(res, { status: 400, json: engineErrors.method }, { withoutBody: true });
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
    const refused = method === 'get' ? polling.get(sid, exchange) : polling.post(sid, exchange);
    if (refused !== undefined) this.#badRequest(res, refused, headers);
  }

  /** @returns the owner of the WebSocket that this handshake may open; undefined: the handshake is refused. */
  upgrade(res: HttpResponse, req: HttpRequest): Party<S> | undefined {
    const query = new URLSearchParams(req.getQuery());
    const error = checkRequest({
      method: req.getMethod(),
      query,
      upgrade: true,
      webSocketVersion: req.getHeader('sec-websocket-version'),
    });
    if (error !== undefined) {
      this.#badRequest(res, error, {});
      return undefined;
    }
    if (this.#headers(req) === undefined) {
      this.#refuse(res, 'origin', { status: 403, json: foreignOrigin });
      return undefined;
    }
    const sid = query.get('sid');
    if (sid !== null) {
      const entry = this.#parts.polling.find(sid);
      if (entry !== undefined) return new Candidate(entry, this.#settings.upgradeTimeoutMs);
      this.#badRequest(res, engineErrors.session, {});
      return undefined;
    }
    const address = this.#admit(res, req, {});
    return address === undefined ? undefined : this.#parts.sessions.create(address, query, req);
  }

  #refusePolling(res: HttpResponse, headers: Headers): void {
    if (!this.#pollingRefusalLogged) {
      this.#pollingRefusalLogged = true;
      this.#parts.log.warn(
        'Refused a long-polling handshake: with PARLEY_WORKERS clients must use WebSockets. ' +
          "Set the transports of the client to ['websocket']. Further refusals are not logged.",
      );
    }
    this.#badRequest(res, engineErrors.transport, headers);
  }

  #openPolling(res: HttpResponse, req: HttpRequest, query: URLSearchParams, headers: Headers): void {
    const { host, sessions, polling, topics } = this.#parts;
    const address = this.#admit(res, req, headers);
    if (address === undefined) return;
    const session = sessions.create(address, query, req);
    const sid = newId();
    const wire = new PollingWire(topics, this.#settings, (code, reason) => {
      polling.delete(sid);
      sessions.end(session, code, reason);
    });
    session.attach(wire);
    polling.add(sid, session, wire);
    sessions.begin(session);
    answer(res, {
      status: 200,
      headers: { ...headers, ...pollHeaders },
      body: openPacket(sid, ['websocket'], this.#settings),
    });
    host.opened(session);
  }

  /** @returns the address's share if a new connection is admitted; undefined: the handshake is refused. */
  #admit(res: HttpResponse, req: HttpRequest, headers: Headers): AddressUse | undefined {
    const admitted = this.#parts.admission.admit(res, req, this.#parts.sessions.size);
    if (!('reason' in admitted)) return admitted;
    const { reason, error } = admitted;
    const retryAfter = String(Math.ceil((error.retryAfter ?? 1000) / 1000));
    const status = errorCatalogue[error.code].httpStatus;
    this.#refuse(res, reason, { status, json: error.toWire(), headers: { ...headers, 'Retry-After': retryAfter } });
    return undefined;
  }

  /**
   * Headers of every answer to this request: the page of another origin may read the answer, and the connection closes if the
   * client requests that. uWS closes without the header, and Node's fetch would send its next request on the closed connection.
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
