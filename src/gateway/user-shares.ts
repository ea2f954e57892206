/**
 * What one user may ask of this process, over all connections: beside the limits of each connection, since a user may have
 * a hundred. Commands and signals are refused over their rate. Bytes are counted when they have come or gone, and commands
 * are refused while the user is in debt. What has no user yet is counted by its address.
 *
 * What a user may do over all nodes (messages, CONNECTs, joins, invitations) is counted in auth/rates.
 */
import { TokenBuckets } from '../auth/token-bucket.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { Tally } from '../telemetry/hot-metrics.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { every } from '../telemetry/periodic.ts';
import type { LocalUser } from './connection.ts';
import type { Network } from './engine/address-limit.ts';

export interface UserShareLimits {
  readonly commandsPerSecondPerUser: number;
  readonly commandBurstPerUser: number;
  readonly signalsPerSecondPerUser: number;
  readonly signalBurstPerUser: number;
  readonly bytesInPerSecondPerUser: number;
  readonly bytesOutPerSecondPerUser: number;
  readonly commandsPerSecondPerAddress: number;
}

export const userShares = ['commands', 'signals', 'bytes_in', 'bytes_out', 'address'] as const;
export type UserShare = (typeof userShares)[number];

/** Of bytes, and of an address's packets: as many seconds' worth may come at once. */
const burstSeconds = 10;
const sweepMs = 10_000;

export class UserShares {
  readonly #buckets: Readonly<Record<UserShare, TokenBuckets>>;
  readonly #refused: Readonly<Record<UserShare, Tally>>;
  readonly #sweeper: NodeJS.Timeout;

  constructor(limits: UserShareLimits, metrics: Metrics) {
    this.#buckets = {
      commands: new TokenBuckets(limits.commandsPerSecondPerUser, limits.commandBurstPerUser),
      signals: new TokenBuckets(limits.signalsPerSecondPerUser, limits.signalBurstPerUser),
      bytes_in: steady(limits.bytesInPerSecondPerUser),
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

  /** @returns 0 if the user had as much left, else the milliseconds to wait. */
  command(user: LocalUser, weight: number, now: number): number {
    return this.#counted('commands', this.#buckets.commands.take(user.id, now, weight));
  }

  /** Of a connection without a user. @returns 0 if its address had one left, else the milliseconds to wait. */
  stranger(network: Network, now: number): number {
    return this.#counted('address', this.#buckets.address.take(network.key, now));
  }

  /** @throws {ParleyError} `rate_limited` */
  signal(user: LocalUser): void {
    const wait = this.#counted('signals', this.#buckets.signals.take(user.id));
    if (wait > 0) throw limited('Too many signals of your connections; wait before the next one.', wait);
  }

  received(user: LocalUser, bytes: number): void {
    this.#buckets.bytes_in.charge(user.id, bytes);
  }

  answered(user: LocalUser, bytes: number): void {
    this.#buckets.bytes_out.charge(user.id, bytes);
  }

  /** Before a command is decoded. @returns 0 if the user has bytes and a command left, else the milliseconds to wait. */
  mayReceive(user: LocalUser): number {
    const now = performance.now();
    const bytes = this.#counted('bytes_in', this.#buckets.bytes_in.wait(user.id, 0, now));
    return bytes > 0 ? bytes : this.#counted('commands', this.#buckets.commands.wait(user.id, 1, now));
  }

  /** Before an answer that may be large. @throws {ParleyError} `rate_limited` */
  mayAnswer(user: LocalUser): void {
    const wait = this.#counted('bytes_out', this.#buckets.bytes_out.wait(user.id));
    if (wait > 0) throw limited('Your connections have received too many bytes; wait before the next page.', wait);
  }

  sweep(now: number): void {
    for (const share of userShares) this.#buckets[share].sweep(now);
  }

  stop(): void {
    clearInterval(this.#sweeper);
  }

  #counted(share: UserShare, wait: number): number {
    if (wait > 0) this.#refused[share].inc();
    return wait;
  }
}

function steady(perSecond: number): TokenBuckets {
  return new TokenBuckets(perSecond, perSecond * burstSeconds);
}

function limited(text: string, retryAfter: number): ParleyError {
  return new ParleyError('rate_limited', text, { retryAfter });
}
