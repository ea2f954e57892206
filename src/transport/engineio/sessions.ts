import type { HttpRequest } from 'uWebSockets.js';
import type { ClosedConnection, Metrics } from '../../telemetry/metrics.ts';
import type { AddressUse } from './address-limit.ts';
import type { Admission } from './admission.ts';
import type { EngineHost } from './engine.ts';
import type { Heartbeat } from './heartbeat.ts';
import type { Session } from './transport-socket.ts';

export interface SessionParts<S extends Session> {
  readonly host: EngineHost<S>;
  readonly admission: Admission;
  readonly heartbeat: Heartbeat;
  readonly metrics: Metrics;
}

/** The sessions of this process, over either transport: each is created once, begins once and ends once. */
export class Sessions<S extends Session> {
  readonly #parts: SessionParts<S>;
  readonly #all = new Set<S>();

  constructor(parts: SessionParts<S>) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#all.size;
  }

  all(): IterableIterator<S> {
    return this.#all.values();
  }

  /** Counts the session from here on: `end` has to follow. */
  create(address: AddressUse, query: URLSearchParams, req: HttpRequest): S {
    const [authorization, userAgent] = [req.getHeader('authorization'), req.getHeader('user-agent')];
    const now = Math.floor(performance.now());
    const session = this.#parts.host.create({ address, now, query, authorization, userAgent });
    this.#all.add(session);
    return session;
  }

  /** The session has its wire. */
  begin(session: S): void {
    const { heartbeat, metrics } = this.#parts;
    heartbeat.join(session);
    metrics.opened.inc();
    metrics.connections.inc();
  }

  /** Every session ends here, whatever ended it. A second call does nothing. */
  end(session: S, code: number, reason: string): void {
    if (!this.#all.delete(session)) return;
    const { host, admission, metrics } = this.#parts;
    session.detach();
    admission.release(session.address);
    metrics.connections.dec();
    metrics.closed.inc({ reason: session.closedFor ?? closedBy(code, reason) });
    session.closedFor ??= 'client';
    host.closed(session);
  }

  /** Closes the sessions from which no packet came since then. */
  closeSilent(since: number): void {
    for (const session of this.#all) {
      if (session.lastPacketAt < since) session.close('heartbeat', 'ping_timeout');
    }
  }

  /** Closes every session at the transport, so that stock clients reconnect, to another node or to the next process. */
  drain(): void {
    for (const session of this.#all) session.close('draining', 'draining');
  }
}

/** uWS closes with code 1006 and one of its own texts. */
function closedBy(code: number, text: string): ClosedConnection {
  if (code !== 1006) return 'client';
  if (text.includes('too big')) return 'too_large';
  if (text.includes('timed out')) return 'heartbeat';
  if (text.includes('backpressure')) return 'slow_consumer';
  return text.includes('invalid') ? 'protocol_error' : 'client';
}
