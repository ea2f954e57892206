import type { HttpResponse } from 'uWebSockets.js';
import { answer, errorAnswer, readBody } from '../../http/http.ts';
import { ParleyError } from '../../protocol/errors.ts';
import { engineErrors, type EngineError } from './handshake.ts';
import { decodePayload, type Frame } from './packet.ts';
import type { PollingWire } from './polling.ts';
import type { Session } from './transport-socket.ts';

/** A session that began with long-polling; its sid stays known until it ends, so that later uses can be refused rightly. */
export interface PollingEntry<S extends Session> {
  readonly sid: string;
  readonly session: S;
  readonly wire: PollingWire;
  upgrade: 'none' | 'probing' | 'done';
  /** Tells the WebSocket that would take it over that there is nothing left to take. */
  ended: (() => void) | undefined;
}

/** A request that is to be answered, now or later, with these headers. */
interface Exchange {
  readonly res: HttpResponse;
  readonly headers: Readonly<Record<string, string>>;
}

export interface LongPollingOptions<S extends Session> {
  readonly maxFrameBytes: number;
  /** A client from which nothing came for so long is gone. */
  readonly silenceMs: number;
  readonly packet: (session: S, frame: Frame) => void;
  readonly guard: (work: () => void) => void;
}

/** The GETs and POSTs of long-polling sessions. What is refused is answered by the caller. */
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
    // the sweep may be a moment late; whoever asks gets the truth
    if (entry.session.heardAt >= performance.now() - this.#options.silenceMs) return entry;
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
      // what it would have said is lost; nothing may follow as if it had been said
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
            this.#take(entry, body.toString('utf8'))
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

  /** @returns whether it was taken: every packet is one. */
  #take(entry: PollingEntry<S>, body: string): boolean {
    // closed while the body came
    if (!entry.session.live) return false;
    const frames = decodePayload(body);
    if (frames === undefined) {
      entry.session.close('protocol_error', 'protocol_error');
      return false;
    }
    for (const frame of frames) {
      this.#options.packet(entry.session, frame);
      if (entry.session.closedFor === 'protocol_error') return false;
    }
    return true;
  }
}
