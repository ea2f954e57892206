/**
 * The body of a request. uWS requires the reader of the body in the turn of the request, so the bridge reads at once.
 * The socket pauses while 64 KiB wait for a handler. States:
 * - waiting or read: bytes arrive. A whole read leaves this state at the last byte, over the limit, or after the time limit.
 *   A stream has the time limit for each part, and no time passes while the socket is paused.
 * - complete, failed (each further read gives the error), or dropped (the answer has left; the rest is discarded).
 */
import type { HttpResponse } from 'uWebSockets.js';
import { bodyTooLarge, bodyTooSlow } from './refusal.ts';

const highWaterBytes = 64 * 1024;

export interface BodyLimits {
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

export class RequestBody {
  readonly #res: HttpResponse;
  readonly #limits: BodyLimits;
  #parts: Buffer[] = [];
  #buffered = 0;
  #received = 0;
  #state: 'open' | 'complete' | 'failed' | 'dropped' = 'open';
  #error: unknown;
  #whole = false;
  #paused = false;
  #timer: NodeJS.Timeout | undefined;
  #wake: (() => void) | undefined;

  /** Attaches the reader. Call this in the turn of the request. */
  constructor(res: HttpResponse, limits: BodyLimits) {
    this.#res = res;
    this.#limits = limits;
    res.onData((chunk, last) => this.#take(chunk, last));
    this.#startTimer();
  }

  get received(): number {
    return this.#received;
  }

  get complete(): boolean {
    return this.#state === 'complete';
  }

  get failed(): boolean {
    return this.#state === 'failed';
  }

  /** The whole body. @throws {Refusal | DOMException} over a limit, or after an abort. */
  async collect(): Promise<Buffer> {
    this.#whole = true;
    this.#resume();
    while (this.#state === 'open') await this.#change();
    if (this.#state !== 'complete') throw this.#failure();
    const parts = this.#parts;
    this.#parts = [];
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  /** The next part, or undefined at the end. @throws {Refusal | DOMException} as `collect` does. */
  async next(): Promise<Buffer | undefined> {
    for (;;) {
      if (this.#state === 'failed' || this.#state === 'dropped') throw this.#failure();
      const part = this.#parts.shift();
      if (part !== undefined) {
        this.#buffered -= part.byteLength;
        if (this.#buffered < highWaterBytes) this.#resume();
        return part;
      }
      if (this.#state === 'complete') return undefined;
      await this.#change();
    }
  }

  /** The client is gone: uWS's response is not used any more. */
  abort(reason: DOMException): void {
    this.#paused = false;
    this.#end('failed', reason);
  }

  /** The answer is about to leave: frees the socket, and discards the parts that still arrive. */
  drop(): void {
    this.#end('dropped', undefined);
  }

  /** Made on its first use: the trace of each error would cost more than the rest of a small body. */
  #failure(): unknown {
    if (this.#state === 'dropped') this.#error ??= new DOMException('The request has been answered.', 'AbortError');
    return this.#error;
  }

  #take(chunk: ArrayBuffer, last: boolean): void {
    if (this.#state !== 'open') return;
    this.#received += chunk.byteLength;
    if (this.#received > this.#limits.maxBytes) {
      this.#end('failed', bodyTooLarge(this.#limits.maxBytes));
      return;
    }
    if (chunk.byteLength > 0) {
      // uWS frees the chunk after this turn
      this.#parts.push(Buffer.from(chunk.slice(0)));
      this.#buffered += chunk.byteLength;
    }
    if (last) {
      this.#end('complete', undefined);
      return;
    }
    if (!this.#whole) {
      if (this.#buffered >= highWaterBytes) this.#pause();
      else this.#startTimer();
    }
    this.#notify();
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    clearTimeout(this.#timer);
    this.#res.pause();
  }

  #resume(): void {
    if (!this.#paused || this.#state !== 'open') return;
    this.#paused = false;
    this.#startTimer();
    this.#res.resume();
  }

  #startTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end('failed', bodyTooSlow()), this.#limits.timeoutMs);
  }

  #end(state: 'complete' | 'failed' | 'dropped', error: unknown): void {
    if (this.#state !== 'open' && !(this.#state === 'complete' && state === 'dropped')) return;
    // the rest of a chunk may end the body of a paused socket, and the socket carries the next request
    this.#resume();
    this.#state = state;
    this.#error = error;
    clearTimeout(this.#timer);
    if (state !== 'complete') this.#parts = [];
    this.#notify();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
