import { errorCatalogue, type ErrorCode } from '../../protocol/errors.ts';
import type { ClosedConnection } from '../../telemetry/metrics.ts';
import type { AddressUse } from './address-limit.ts';
import { worthCompressing, type Frame } from './packet.ts';

/** What a session needs of its transport. A uWS WebSocket is one as it stands; long-polling imitates it. */
export interface Wire {
  send(frame: Frame, isBinary: boolean, compress: boolean): number;
  cork(send: () => void): unknown;
  subscribe(topic: string): boolean;
  unsubscribe(topic: string): boolean;
  isSubscribed(topic: string): boolean;
  /** To all other subscribers of the topic that have this form of wire. */
  publish(topic: string, frame: Frame, isBinary: boolean, compress: boolean): boolean;
  getTopics(): string[];
  getBufferedAmount(): number;
  end(code: number, reason: string): void;
  /** Ends at once; what is unsent is dropped. */
  close(): unknown;
}

/**
 * Unsent bytes with which a connection is still closed politely. uWS keeps a closed socket for up to 16 s until its buffer
 * has drained, and nobody counts that buffer any more: a client that never reads could leave 4 MB there, again and again.
 */
const politeBytes = 64 * 1024;

/**
 * An Engine.IO session: one client, over one wire at a time. Kept small, since there are tens of thousands: no timers, no
 * maps, no closures of its own; topics are the wire's, which tells and forgets them by itself.
 */
export class Session {
  readonly address: AddressUse;
  /** Milliseconds of the process's life, as are the others here. */
  openedAt: number;
  /** When the last packet came, of any kind: a client that sends nothing for pingInterval + pingTimeout is gone. */
  heardAt: number;
  /** Why the server closed it. */
  closedFor: ClosedConnection | undefined = undefined;
  #wire: Wire | undefined = undefined;

  constructor(address: AddressUse, now: number) {
    this.address = address;
    this.openedAt = now;
    this.heardAt = now;
  }

  get live(): boolean {
    return this.#wire !== undefined;
  }

  get wire(): Wire | undefined {
    return this.#wire;
  }

  attach(wire: Wire): void {
    this.#wire = wire;
  }

  /** uWS ends the process when a closed socket is used: it is let go of here, and nobody else holds it. */
  detach(): void {
    this.#wire = undefined;
  }

  /** Sends a whole Engine.IO packet. */
  send(frame: Frame): void {
    this.#wire?.send(frame, typeof frame !== 'string', worthCompressing(frame));
  }

  /** Sends several packets with one system call. */
  sendAll(frames: readonly Frame[]): void {
    this.#wire?.cork(() => {
      for (const frame of frames) this.send(frame);
    });
  }

  subscribe(topic: string): void {
    this.#wire?.subscribe(topic);
  }

  unsubscribe(topic: string): void {
    this.#wire?.unsubscribe(topic);
  }

  isSubscribed(topic: string): boolean {
    return this.#wire?.isSubscribed(topic) ?? false;
  }

  get bufferedBytes(): number {
    return this.#wire?.getBufferedAmount() ?? 0;
  }

  /** Closes with the code of the error. Stock clients see a lost transport, so they come back. */
  close(reason: ClosedConnection, error: ErrorCode): void {
    if (this.#wire === undefined || this.closedFor !== undefined) return;
    this.closedFor = reason;
    const kind = errorCatalogue[error];
    // a node that stops sends all it has; the process ends soon
    if (reason !== 'draining' && this.bufferedBytes > politeBytes) this.#wire.close();
    else this.#wire.end('closeCode' in kind ? kind.closeCode : 1000, error);
  }

  /** Ends it as the client asked, or a backend service. */
  end(reason: ClosedConnection = 'client'): void {
    if (this.#wire === undefined || this.closedFor !== undefined) return;
    this.closedFor = reason;
    if (this.bufferedBytes > politeBytes) this.#wire.close();
    else this.#wire.end(1000, reason === 'client' ? '' : reason);
  }
}
