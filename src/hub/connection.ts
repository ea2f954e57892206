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
 * Of the namespace `/`:
 * open (not connected to it) → authenticating (CONNECT came) → joining (token good: the user's rooms are being read)
 * → ready (subscribed, gets events and may command) → open again after a DISCONNECT. Any state → closed.
 */
export type ConnectionState = 'open' | 'authenticating' | 'joining' | 'ready' | 'closed';

/** A user with connections on this node. */
export interface LocalUser {
  readonly id: string;
  name: string | null;
  readonly connections: Connection[];
  /** Rooms in which they may only read, and until when, in milliseconds since 1970; absent for nearly everybody. */
  readsOnly: Map<string, number> | undefined;
  /** Bytes that wait to be sent to their connections here; see Unsent. */
  unsent: number;
  /** See UserShares. */
  shares: KeptShares | undefined;
  /** Bytes that have come and are not counted in `shares` yet. */
  uncounted: number;
}

interface Question {
  readonly resolve: (args: readonly unknown[]) => void;
  readonly timer?: NodeJS.Timeout;
}

/** One Engine.IO session with what Socket.IO and Parley know of it. */
export class Connection extends Session {
  /** The public id of this connection; Engine.IO's sid is another one, and secret. */
  readonly session: string;
  readonly form: Form;
  /** From the query or the Authorization header of the handshake; CONNECT's own goes before it. Dropped when used. */
  handshakeToken: string | undefined;
  state: ConnectionState = 'open';
  user: LocalUser | undefined = undefined;
  /** When the token expires; milliseconds since 1970. */
  expires = 0;
  /** When it became `ready`, milliseconds since 1970; 0 while it is not counted among its user's. */
  since = 0;
  /** What the client calls its device. */
  device: string | null = null;
  /** Its User-Agent, shortened. */
  readonly agent: string | null;
  /** Commands it may run at once, as of `refilledAt` (milliseconds of the process's life): a token bucket. */
  credit: number;
  refilledAt: number;
  /** Acks that go out at the end of this turn. */
  unsent: Frame[] | undefined = undefined;
  /** Unsent bytes that are counted for it, and the user they are counted for; see Unsent. */
  counted = 0;
  countedFor: LocalUser | undefined = undefined;
  /** Unsent bytes at the last sweep. */
  swept = 0;
  /** Signals it may send at once, as of `signalsAt`: likewise; undefined before its first one. */
  signalCredit: number | undefined = undefined;
  signalsAt = 0;
  /** Commands refused for their rate, in a row. */
  refused = 0;
  /** Commands that wait for their answer. */
  pending = 0;
  /** Those of them that read pages of messages. */
  reading = 0;
  /** Changes of membership that came while `joining`. */
  changes: MembershipChange[] | undefined = undefined;
  /** Namespaces besides `/` that it is connected to. */
  namespaces: Set<string> | undefined = undefined;
  /** A packet whose attachments are still to come. */
  assembly: Assembly | undefined = undefined;
  /** Gets no signals, for it is slow; see SlowConsumers. */
  quiet = false;
  /** Rooms it is off, for it is behind. */
  away: Set<string> | undefined = undefined;
  /** Rooms of which it holds a cursor of an earlier epoch: it has not pulled them since the database went back in time. */
  stale: Set<string> | undefined = undefined;
  /** Rooms of backend services that it is in; see FreeRooms. */
  adHocRooms: Set<string> | undefined = undefined;
  #identity: Identity | undefined = undefined;
  #caller: Caller | undefined = undefined;
  #questions: Map<string, Question> | undefined = undefined;
  #asked = 0;
  /** Questions whose answers, if they still come, nobody waits for. */
  #givenUp = 0;

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

  /** The token it is here with; it may be taken back. */
  get identity(): Identity | undefined {
    return this.#identity;
  }

  /** Another token may have other rights. */
  set identity(identity: Identity | undefined) {
    this.#identity = identity;
    this.#caller = undefined;
  }

  /** Made at the first command, and kept until the token changes: most connections of a crowd give no command. */
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

  /** An event that is newer than what an answer says, and must not overtake it: acks wait for the end of the turn. */
  sendBehindAcks(frames: Frames): void {
    if (this.unsent === undefined) this.sendFrames(frames);
    else this.unsent.push(...frames);
  }

  /**
   * Sends an event that wants an ack. @returns the ack's arguments.
   * @throws {ParleyError} `unavailable` if none came in time, also where the connection ended meanwhile.
   */
  ask(name: string, args: readonly unknown[], timeoutMs: number): Promise<readonly unknown[]> {
    // even: the odd ones are for questions to many
    const id = String(this.#asked);
    this.#asked += 2;
    const questions = (this.#questions ??= new Map());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.forget(id);
        reject(new ParleyError('unavailable', 'The client did not acknowledge in time.'));
      }, timeoutMs);
      questions.set(id, { resolve, timer });
      this.sendFrames(encodeArgs(this.form, 'event', '/', id, [name, ...args]));
    });
  }

  /** Waits for the ack of an event that is sent to many under one odd id; whoever calls ends it with `forget`. */
  expect(id: string, resolve: (args: readonly unknown[]) => void): void {
    (this.#questions ??= new Map()).set(id, { resolve });
  }

  forget(id: string): void {
    if (this.#questions?.delete(id) === true) this.#givenUp++;
  }

  get awaitsAck(): boolean {
    return this.#questions !== undefined && this.#questions.size > 0;
  }

  /** An ack came. @returns false if nobody waits for it: it is late, or made up. */
  answered(id: string, args: readonly unknown[]): boolean {
    const question = this.#questions?.get(id);
    if (question === undefined) return false;
    clearTimeout(question.timer);
    this.#questions?.delete(id);
    question.resolve(args);
    return true;
  }

  /** Of an ack that nobody waits for, once each. @returns whether it may be the answer to a question that was given up. */
  isLate(): boolean {
    if (this.#givenUp === 0) return false;
    this.#givenUp--;
    return true;
  }
}
