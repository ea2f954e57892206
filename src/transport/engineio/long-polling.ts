import type { HttpResponse } from 'uWebSockets.js';
import { answer, errorAnswer, readBody } from '../../http/http.ts';
import { ParleyError } from '../../protocol/errors.ts';
import { engineErrors, type EngineError } from './handshake.ts';
import { decodePayload, type Received } from './packet.ts';
import type { PollingWire } from './polling.ts';
import type { Session } from './transport-socket.ts';

/** A session that began with long-polling. Its sid stays known until its end, so that later uses get the right error. */
export interface PollingEntry<S extends Session> {
  readonly sid: string;
  readonly session: S;
  readonly wire: PollingWire;
  upgrade: 'none' | 'probing' | 'done';
  /** Closes the candidate of the session when the session ends. */
  ended: (() => void) | undefined;
}

/** A request that gets an answer with these headers, now or later. */
interface Exchange {
  readonly res: HttpResponse;
  readonly headers: Readonly<Record<string, string>>;
}

export interface LongPollingOptions<S extends Session> {
  readonly maxFrameBytes: number;
  /** A session without a packet for so long is closed. */
  readonly silenceMs: number;
  readonly packet: (session: S, received: Received) => void;
  readonly guard: (work: () => void) => void;
}

/** The GETs and POSTs of long-polling sessions. The caller answers a request that is refused here. */
export class LongPolling<S extends Session> {
  readonly #options: LongPollingOptions<S>;
  readonly #entries = new Map<string, PollingEntry<S>>();

  constructor(options: LongPollingOptions<S>) {
    this.#options = options;
  }

  add(sid: string, session: S, wire: PollingWire): void {
    this.#entries.set(sid, { sid, session, wire, upgrade: 'none', ended: undefined });
  }

  delete(sid: string): void {
    const entry = this.#entries.get(sid);
    this.#entries.delete(sid);
    entry?.ended?.();
  }

  find(sid: string): PollingEntry<S> | undefined {
    const entry = this.#entries.get(sid);
    if (entry === undefined) return undefined;
    // the sweep may be late, so the heartbeat is checked here too
    if (entry.session.lastPacketAt >= performance.now() - this.#options.silenceMs) return entry;
    entry.session.close('heartbeat', 'ping_timeout');
    return this.#entries.get(sid);
  }

  get(sid: string, { res, headers }: Exchange): EngineError | undefined {
    const entry = this.find(sid);
    if (entry === undefined) return engineErrors.session;
    if (entry.upgrade === 'done') return engineErrors.request;
    if (entry.wire.waiting) {
      entry.session.close('protocol_error', 'protocol_error');
      return engineErrors.request;
    }
    entry.wire.poll({ res, headers }, () => this.#options.guard(() => entry.session.close('client', 'protocol_error')));
    return undefined;
  }

  post(sid: string, { res, headers }: Exchange): EngineError | undefined {
    const entry = this.find(sid);
    if (entry === undefined) return engineErrors.session;
    if (entry.upgrade === 'done') return engineErrors.request;
    if (entry.wire.posting) {
      entry.session.close('protocol_error', 'protocol_error');
      return engineErrors.request;
    }
    entry.wire.posting = true;
    let aborted = false;
    res.onAborted(() => {
      aborted = true;
      entry.wire.posting = false;
      // the packets of the request are lost, so no later packet may follow
      this.#options.guard(() => entry.session.close('client', 'protocol_error'));
    });
    const reply = (http: Parameters<typeof answer>[1]): void => {
      if (!aborted) answer(res, { ...http, headers });
    };
    readBody(res, this.#options.maxFrameBytes).then(
      (body) =>
        this.#options.guard(() => {
          entry.wire.posting = false;
          reply(
            this.#take(entry, body)
              ? { status: 200, body: 'ok' }
              : { status: 400, body: JSON.stringify(engineErrors.request) },
          );
        }),
      (error: unknown) =>
        this.#options.guard(() => {
          entry.wire.posting = false;
          entry.session.close('too_large', 'too_large');
          const { status } = errorAnswer(error instanceof ParleyError ? error : new ParleyError('internal'));
          reply({ status, body: JSON.stringify(engineErrors.request) });
        }),
    );
    return undefined;
  }

  /** @returns false if a packet of the body breaks the protocol. */
  #take(entry: PollingEntry<S>, body: Buffer): boolean {
    // the session was closed while the body arrived
    if (!entry.session.live) return false;
    const packets = decodePayload(body);
    if (packets === undefined) {
      entry.session.close('protocol_error', 'protocol_error');
      return false;
    }
    for (const received of packets) {
      this.#options.packet(entry.session, received);
      if (entry.session.closedFor === 'protocol_error') return false;
    }
    return true;
  }
}
