import type { Caller } from '../sessions/caller.ts';
import type { Identity } from '../sessions/tokens.ts';
import type { MembershipChange } from '../fanout/fanout.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { AddressUse } from '../transport/engineio/address-limit.ts';
import type { Frame } from '../transport/engineio/packet.ts';
import { Session } from '../transport/engineio/transport-socket.ts';
import type { Assembly } from '../transport/socketio/attachments.ts';
import { encodeArgs } from '../transport/socketio/encode.ts';
import type { Form, Frames } from '../transport/socketio/packet.ts';
import type { KeptShares } from '../commands/user-shares.ts';

/**
 * States of a connection in the namespace `/`:
 * - `open`: no CONNECT has come. CONNECT leads to `authenticating`.
 * - `authenticating`: the token is verified. A good token leads to `joining`, a refusal to `open`.
 * - `joining`: the user's rooms are read. Success leads to `ready`, a failure to `open`.
 * - `ready`: the connection is subscribed, gets events and may send commands. DISCONNECT leads to `open`.
 * - `closed`: the transport ended. Every state leads here, and nothing leaves it.
 */
export type ConnectionState = 'open' | 'authenticating' | 'joining' | 'ready' | 'closed';

/** A user with connections on this node. */
export interface LocalUser {
  readonly id: string;
  name: string | null;
  readonly connections: Connection[];
  /** Rooms in which the user may only read, with the end in milliseconds since 1970. Undefined for most users. */
  readsOnly: Map<string, number> | undefined;
  /** Bytes that wait to be sent to the user's connections here; see Unsent. */
  unsent: number;
  /** See UserShares. */
  shares: KeptShares | undefined;
  /** Received bytes that are not counted in `shares` yet. */
  uncounted: number;
}

interface AckWait {
  readonly resolve: (args: readonly unknown[]) => void;
  readonly timer?: NodeJS.Timeout;
}

/** One transport socket of Engine.IO, with its state in Socket.IO and in Parley. */
export class Connection extends Session {
  /** The public id of this connection. Engine.IO's `sid` is a different one, and secret. */
  readonly session: string;
  readonly form: Form;
  /** The token of the handshake's query or Authorization header. A token in CONNECT takes precedence. Dropped when used. */
  handshakeToken: string | undefined;
  state: ConnectionState = 'open';
  user: LocalUser | undefined = undefined;
  /** When the token expires; milliseconds since 1970. */
  expires = 0;
  /** When the connection became `ready`, in milliseconds since 1970; 0 while its user's count lacks it. */
  since = 0;
  /** The client's name for its device. */
  device: string | null = null;
  /** The User-Agent of the handshake, shortened. */
  readonly agent: string | null;
  /** Commands that the connection may run at once, as of `refilledAt` (milliseconds of the process's life): a token bucket. */
  credit: number;
  refilledAt: number;
  /** Acks that are sent at the end of this turn. */
  unsent: Frame[] | undefined = undefined;
  /** Unsent bytes that are counted for this connection, and the user that they are counted for; see Unsent. */
  counted = 0;
  countedFor: LocalUser | undefined = undefined;
  /** Unsent bytes at the last sweep. */
  swept = 0;
  /** Signals that the connection may send at once, as of `signalsAt`; undefined before the first signal. */
  signalCredit: number | undefined = undefined;
  signalsAt = 0;
  /** Commands refused for their rate, in a row. */
  refused = 0;
  /** Commands without an answer so far. */
  pending = 0;
  /** Pending commands that read pages of messages. */
  reading = 0;
  /** Changes of membership that came while `joining`. */
  changes: MembershipChange[] | undefined = undefined;
  /** Namespaces besides `/` that the client is connected to. */
  namespaces: Set<string> | undefined = undefined;
  /** A packet that lacks some of its attachments so far. */
  assembly: Assembly | undefined = undefined;
  /** The connection is slow and gets no signals; see SlowConsumers. */
  quiet = false;
  /** Rooms whose topics the connection has left because it is behind; see SlowConsumers. */
  offRooms: Set<string> | undefined = undefined;
  /** Rooms with a cursor of an earlier epoch: the client has not pulled them since the database went back in time. */
  oldEpochRooms: Set<string> | undefined = undefined;
  /** Rooms of backend services that the connection is in; see AdHocRooms. */
  adHocRooms: Set<string> | undefined = undefined;
  #identity: Identity | undefined = undefined;
  #caller: Caller | undefined = undefined;
  #ackWaits: Map<string, AckWait> | undefined = undefined;
  #nextAckId = 0;
  /** Ended waits whose acks may still come. */
  #lateAcks = 0;

  constructor(
    session: string,
    address: AddressUse,
    now: number,
    form: Form,
    credit: number,
    handshakeToken: string | undefined,
    agent: string | null,
  ) {
    super(address, now);
    this.session = session;
    this.form = form;
    this.refilledAt = now;
    this.credit = credit;
    this.handshakeToken = handshakeToken;
    this.agent = agent;
  }

  /** The verified claims of the connection's token. The token may be revoked. */
  get identity(): Identity | undefined {
    return this.#identity;
  }

  /** Another token may have other rights. */
  set identity(identity: Identity | undefined) {
    this.#identity = identity;
    this.#caller = undefined;
  }

  /** Made at the first command and kept until the token changes: most connections of a crowd send no command. */
  callerFor(user: LocalUser): Caller {
    return (this.#caller ??= {
      user,
      tier: this.#identity?.tier ?? null,
      backend: this.#identity?.backend === true,
      session: this.session,
    });
  }

  sendFrames(frames: Frames): void {
    const [first] = frames;
    if (frames.length === 1 && first !== undefined) this.send(first);
    else this.sendAll(frames);
  }

  /** Sends an event after the acks of this turn. The event corrects an answer, so it must not overtake that answer. */
  sendBehindAcks(frames: Frames): void {
    if (this.unsent === undefined) this.sendFrames(frames);
    else this.unsent.push(...frames);
  }

  /**
   * Sends an event and waits for its ack. @returns the ack's arguments
   * @throws {ParleyError} `unavailable` if no ack came in time, also when the connection ended meanwhile
   */
  emitWithAck(name: string, args: readonly unknown[], timeoutMs: number): Promise<readonly unknown[]> {
    // even ids: an odd id belongs to an event that was sent to many connections
    const id = String(this.#nextAckId);
    this.#nextAckId += 2;
    const waits = (this.#ackWaits ??= new Map());
    return new Promise((resolve, reject) => {
      // a bare timer: with `within`, the record of a wait and its limit would be apart
      const timer = setTimeout(() => {
        this.forget(id);
        reject(new ParleyError('unavailable', 'The client did not acknowledge in time.'));
      }, timeoutMs);
      waits.set(id, { resolve, timer });
      this.sendFrames(encodeArgs(this.form, 'event', '/', id, [name, ...args]));
    });
  }

  /** Waits for the ack of an event that is sent to many connections under one odd id. The caller ends the wait with `forget`. */
  expect(id: string, resolve: (args: readonly unknown[]) => void): void {
    (this.#ackWaits ??= new Map()).set(id, { resolve });
  }

  forget(id: string): void {
    if (this.#ackWaits?.delete(id) === true) this.#lateAcks++;
  }

  get awaitsAck(): boolean {
    return this.#ackWaits !== undefined && this.#ackWaits.size > 0;
  }

  /** An ack came. @returns false if there is no wait for it: the ack is late or invented */
  answered(id: string, args: readonly unknown[]): boolean {
    const wait = this.#ackWaits?.get(id);
    if (wait === undefined) return false;
    clearTimeout(wait.timer);
    this.#ackWaits?.delete(id);
    wait.resolve(args);
    return true;
  }

  /** Called once for each ack without a wait. @returns whether it may belong to a wait that has ended */
  isLate(): boolean {
    if (this.#lateAcks === 0) return false;
    this.#lateAcks--;
    return true;
  }
}
