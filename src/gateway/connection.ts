import type { WebSocket } from 'uWebSockets.js';
import type { MembershipChange } from '../fanout/fanout.ts';
import { errorCatalogue, type ErrorCode } from '../protocol/errors.ts';
import type { ClosedConnection } from '../telemetry/metrics.ts';
import type { LocalUser } from './connections.ts';
import type { AddressUse } from './address-limit.ts';

/**
 * One live socket. Kept small, since there are tens of thousands: no timers, no maps, no closures of its own; the rooms
 * it is in are uWS subscriptions, which tell and forget by themselves.
 *
 * open (handshake done) → authenticating (CONNECT came) → joining (token good: the user's rooms are being read)
 * → ready (subscribed, gets events and may command) → closed. Any state → closed.
 */
export type ConnectionState = 'open' | 'authenticating' | 'joining' | 'ready' | 'closed';

/** uWS copies the properties of what it is given onto its own socket object, so methods need this one more step. */
export interface UserData {
  readonly connection: Connection;
}

export class Connection {
  /** The public id of this connection; Engine.IO's sid is another one, and secret. */
  readonly session: string;
  readonly address: AddressUse;
  /** From the query or the Authorization header of the handshake; CONNECT's own goes before it. Dropped when used. */
  handshakeToken: string | undefined;
  state: ConnectionState = 'open';
  user: LocalUser | undefined = undefined;
  /** When the token expires; milliseconds since 1970. */
  expires = 0;
  /** Second of the process's life in which it was opened, for the limit on the time to CONNECT. */
  readonly openedAt: number;
  /** Commands it may run at once, as of `refilledAt` (milliseconds of the process's life): a token bucket. */
  credit: number;
  refilledAt: number;
  /** Commands that wait for their answer. */
  pending = 0;
  /** Changes of membership that came while `joining`; they are newer than what is being read. */
  changes: MembershipChange[] | undefined = undefined;
  /** Why the server closed it. */
  closedFor: ClosedConnection | undefined = undefined;
  #ws: WebSocket<UserData> | undefined = undefined;

  constructor(session: string, address: AddressUse, now: number, credit: number, handshakeToken: string | undefined) {
    this.session = session;
    this.address = address;
    this.openedAt = Math.floor(now / 1000);
    this.refilledAt = Math.floor(now);
    this.credit = credit;
    this.handshakeToken = handshakeToken;
  }

  attach(ws: WebSocket<UserData>): void {
    this.#ws = ws;
  }

  /** uWS ends the process when a closed socket is used: it is let go of here, and nobody else holds it. */
  detach(): void {
    this.#ws = undefined;
    this.state = 'closed';
  }

  get live(): boolean {
    return this.#ws !== undefined;
  }

  send(frame: string): void {
    this.#ws?.send(frame);
  }

  /** Sends several frames with one system call. */
  sendAll(frames: readonly string[]): void {
    const ws = this.#ws;
    if (ws === undefined) return;
    ws.cork(() => {
      for (const frame of frames) this.#ws?.send(frame);
    });
  }

  /** To all subscribers of the topic but this connection. */
  publish(topic: string, frame: string): void {
    this.#ws?.publish(topic, frame);
  }

  subscribe(topic: string): void {
    this.#ws?.subscribe(topic);
  }

  unsubscribe(topic: string): void {
    this.#ws?.unsubscribe(topic);
  }

  isSubscribed(topic: string): boolean {
    return this.#ws?.isSubscribed(topic) ?? false;
  }

  /** Closes with the code of the error. Stock clients see a lost transport, so they come back. */
  close(reason: ClosedConnection, error: ErrorCode): void {
    if (this.#ws === undefined) return;
    this.closedFor = reason;
    const kind = errorCatalogue[error];
    this.#ws.end('closeCode' in kind ? kind.closeCode : 1000, error);
  }

  /** Ends it as the client asked. */
  end(): void {
    this.#ws?.end(1000);
  }
}
