/**
 * The share of one user in this process, over all connections. The limits of each connection are not enough, since a user
 * may have a hundred. Commands and signals over their rate are refused. Bytes are counted after they arrive or leave, and
 * commands are refused while the user is over. Packets before a user is known count for their address.
 *
 * `rates/user-rates.ts` has the rates of a user over all nodes: messages, CONNECTs, joins and invitations.
 */
import { TokenBuckets, type Bucket } from '../rates/token-bucket.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { Tally } from '../telemetry/hot-metrics.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { every } from '../jobs/periodic.ts';
import type { LocalUser } from '../hub/connection.ts';
import type { Network } from '../transport/engineio/address-limit.ts';

export interface UserShareLimits {
  readonly commandsPerSecondPerUser: number;
  readonly commandBurstPerUser: number;
  readonly signalsPerSecondPerUser: number;
  readonly signalBurstPerUser: number;
  readonly bytesInPerSecondPerUser: number;
  readonly bytesOutPerSecondPerUser: number;
  readonly commandsPerSecondPerAddress: number;
}

/** Kept in the user: each command reads both, and a lookup by the id would take a tenth of the time of a command. */
export interface KeptShares {
  readonly commands: Bucket;
  readonly bytesIn: Bucket;
}

export const userShares = ['commands', 'signals', 'bytes_in', 'bytes_out', 'address'] as const;
export type UserShare = (typeof userShares)[number];

/** The burst of bytes that leave, and of packets of an address, in seconds of the rate. */
const burstSeconds = 10;
/** Shorter: each byte of a message leaves again for every connection of its room, and the bytes of a burst arrive at once. */
const burstInSeconds = 2;
const sweepMs = 10_000;
/** Bytes that are counted together. */
const countedAtOnce = 4096;

export class UserShares {
  readonly #buckets: Readonly<Record<UserShare, TokenBuckets>>;
  readonly #refused: Readonly<Record<UserShare, Tally>>;
  readonly #sweeper: NodeJS.Timeout;
  readonly #userOf: (id: string) => LocalUser | undefined;

  /** @param userOf the user with connections on this node, by id */
  constructor(limits: UserShareLimits, metrics: Metrics, userOf: (id: string) => LocalUser | undefined) {
    this.#userOf = userOf;
    this.#buckets = {
      commands: new TokenBuckets(limits.commandsPerSecondPerUser, limits.commandBurstPerUser),
      signals: new TokenBuckets(limits.signalsPerSecondPerUser, limits.signalBurstPerUser),
      bytes_in: steady(limits.bytesInPerSecondPerUser, burstInSeconds),
      bytes_out: steady(limits.bytesOutPerSecondPerUser),
      address: steady(limits.commandsPerSecondPerAddress),
    };
    this.#refused = {
      commands: metrics.userRefused.labels({ limit: 'commands' }),
      signals: metrics.userRefused.labels({ limit: 'signals' }),
      bytes_in: metrics.userRefused.labels({ limit: 'bytes_in' }),
      bytes_out: metrics.userRefused.labels({ limit: 'bytes_out' }),
      address: metrics.userRefused.labels({ limit: 'address' }),
    };
    this.#sweeper = every(() => this.sweep(performance.now()), sweepMs).unref();
  }

  /** @returns 0 if the user had enough left, else the milliseconds to wait. */
  command(user: LocalUser, weight: number, now: number): number {
    const kept = this.#kept(user, now);
    if (user.uncounted > 0) this.#countReceived(user, kept, now);
    return this.#counted('commands', this.#buckets.commands.takeFrom(kept.commands, now, weight));
  }

  /** For a packet before its user is known. @returns 0 if the address had one left, else the milliseconds to wait. */
  withoutUser(network: Network, now: number): number {
    return this.#counted('address', this.#buckets.address.take(network.key, now));
  }

  /** @throws {ParleyError} `rate_limited` */
  signal(user: LocalUser, now: number): void {
    const wait = this.#counted('signals', this.#buckets.signals.take(user.id, now));
    if (wait > 0) throw limited('Too many signals of your connections; wait before the next one.', wait);
  }

  /** Counts small frames with the next command, or together. */
  received(user: LocalUser, bytes: number): void {
    user.uncounted += bytes;
    if (user.uncounted >= countedAtOnce) this.#countNow(user);
  }

  answered(user: LocalUser, bytes: number): void {
    this.#buckets.bytes_out.charge(user.id, bytes, performance.now());
  }

  /** Called before a command is decoded. @returns 0 if the user has bytes and a command left, else the milliseconds to wait. */
  mayReceive(user: LocalUser): number {
    const { shares } = user;
    if (shares === undefined || (shares.bytesIn.tokens >= 0 && shares.commands.tokens >= 1)) return 0;
    const now = performance.now();
    const bytes = this.#counted('bytes_in', this.#buckets.bytes_in.waitFor(shares.bytesIn, now, 0));
    return bytes > 0 ? bytes : this.#counted('commands', this.#buckets.commands.waitFor(shares.commands, now, 1));
  }

  /** Called before an answer that may be large. @throws {ParleyError} `rate_limited` */
  mayAnswer(user: LocalUser): void {
    const wait = this.#counted('bytes_out', this.#buckets.bytes_out.wait(user.id, 0, performance.now()));
    if (wait > 0) throw limited('Your connections have received too many bytes; wait before the next page.', wait);
  }

  sweep(now: number): void {
    const forgotten = (id: string): void => {
      const user = this.#userOf(id);
      if (user !== undefined) user.shares = undefined;
    };
    for (const share of userShares) this.#buckets[share].sweep(now, forgotten);
  }

  #countNow(user: LocalUser): void {
    const now = performance.now();
    this.#countReceived(user, this.#kept(user, now), now);
  }

  #countReceived(user: LocalUser, { bytesIn }: KeptShares, now: number): void {
    this.#buckets.bytes_in.chargeTo(bytesIn, now, user.uncounted);
    user.uncounted = 0;
  }

  #kept(user: LocalUser, now: number): KeptShares {
    return (user.shares ??= {
      commands: this.#buckets.commands.bucket(user.id, now),
      bytesIn: this.#buckets.bytes_in.bucket(user.id, now),
    });
  }

  stop(): void {
    clearInterval(this.#sweeper);
  }

  #counted(share: UserShare, wait: number): number {
    if (wait > 0) this.#refused[share].inc();
    return wait;
  }
}

function steady(perSecond: number, seconds = burstSeconds): TokenBuckets {
  return new TokenBuckets(perSecond, perSecond * seconds);
}

function limited(text: string, retryAfter: number): ParleyError {
  return new ParleyError('rate_limited', text, { retryAfter });
}
