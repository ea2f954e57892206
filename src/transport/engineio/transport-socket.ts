import { errorCatalogue, type ErrorCode } from '../../protocol/errors.ts';
import type { ClosedConnection } from '../../telemetry/metrics.ts';
import type { AddressUse } from './address-limit.ts';
import { worthCompressing, type Frame } from './packet.ts';

/** The connection below a session. A uWS WebSocket has these methods; long-polling imitates them. */
export interface Wire {
  send(frame: Frame, isBinary: boolean, compress: boolean): number;
  cork(send: () => void): unknown;
  subscribe(topic: string): boolean;
  unsubscribe(topic: string): boolean;
  isSubscribed(topic: string): boolean;
  /** Publishes to all other subscribers of the topic over the same transport. */
  publish(topic: string, frame: Frame, isBinary: boolean, compress: boolean): boolean;
  getTopics(): string[];
  getBufferedAmount(): number;
  end(code: number, reason: string): void;
  /** Ends at once, and drops unsent frames. */
  close(): unknown;
}

/**
 * Unsent bytes up to which a connection is closed with a close frame. uWS keeps a closed socket for up to 16 s until its
 * buffer has drained, and no limit counts that buffer. A client that never reads could leave 4 MB there, many times.
 */
const closeFrameBytes = 64 * 1024;

/**
 * An Engine.IO session: one client, over one wire at a time. Tens of thousands exist, so a session has no timer, no map and
 * no closure. The wire keeps the topics, and forgets them when it closes.
 */
export class Session {
  readonly address: AddressUse;
  /** Milliseconds since the start of the process, as all times here. */
  openedAt: number;
  /** The time of the last packet of any kind: a session without one for pingInterval + pingTimeout is closed. */
  lastPacketAt: number;
  /** The reason for which the server closed the session. */
  closedFor: ClosedConnection | undefined = undefined;
  #wire: Wire | undefined = undefined;

  constructor(address: AddressUse, now: number) {
    this.address = address;
    this.openedAt = now;
    this.lastPacketAt = now;
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

  /** Drops the only reference to the wire: uWS ends the process when a closed socket is used. */
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

  /** Closes with the code of the error. Stock clients see a lost transport, so they reconnect. */
  close(reason: ClosedConnection, error: ErrorCode): void {
    if (this.#wire === undefined || this.closedFor !== undefined) return;
    this.closedFor = reason;
    const kind = errorCatalogue[error];
    // a drain sends all unsent frames, since the process ends soon
    if (reason !== 'draining' && this.bufferedBytes > closeFrameBytes) this.#wire.close();
    else this.#wire.end('closeCode' in kind ? kind.closeCode : 1000, error);
  }

  /** Ends the session on request of the client or of a back end. */
  end(reason: ClosedConnection = 'client'): void {
    if (this.#wire === undefined || this.closedFor !== undefined) return;
    this.closedFor = reason;
    if (this.bufferedBytes > closeFrameBytes) this.#wire.close();
    else this.#wire.end(1000, reason === 'client' ? '' : reason);
  }
}
