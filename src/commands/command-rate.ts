import type { Connection } from '../hub/connection.ts';
import type { UserShares } from './user-shares.ts';

export interface CommandRateLimits {
  readonly commandsPerSecond: number;
  readonly commandBurst: number;
  /** Refusals in a row after which the connection is closed. */
  readonly maxRefusedCommands: number;
}

/**
 * The rate of a connection: its token bucket and that of its user. A connection that ignores refusals is closed. Commands
 * take from both buckets by their weight. Packets that no client of good faith repeats take from them too, or they would
 * have no limit. A connection without a user takes from the bucket of its address, and is closed when that bucket is empty.
 * Every packet that counts there follows a refusal or serves no purpose.
 */
export class CommandRate {
  readonly #limits: CommandRateLimits;
  readonly #shares: UserShares;

  constructor(limits: CommandRateLimits, shares: UserShares) {
    this.#limits = limits;
    this.#shares = shares;
  }

  /** @returns 0 if the connection and its user had enough, else the milliseconds until the buckets have enough. */
  take(connection: Connection, weight: number, now: number = performance.now()): number {
    const { commandsPerSecond, commandBurst } = this.#limits;
    // whole milliseconds, so that the fields stay small integers
    const at = Math.floor(now);
    const refill = ((at - connection.refilledAt) / 1000) * commandsPerSecond;
    if (refill >= 1) {
      const whole = Math.floor(refill);
      connection.credit = Math.min(commandBurst, connection.credit + whole);
      connection.refilledAt = at - Math.floor(((refill - whole) * 1000) / commandsPerSecond);
    }
    if (connection.credit < weight) {
      this.refused(connection);
      return Math.ceil((1000 * weight) / commandsPerSecond);
    }
    const { user } = connection;
    if (user === undefined) {
      connection.credit -= weight;
      const wait = this.#shares.withoutUser(connection.address.network, now);
      if (wait > 0) connection.close('rate_limited', 'rate_limited');
      return wait;
    }
    const wait = this.#shares.command(user, weight, now);
    if (wait > 0) this.refused(connection);
    else connection.credit -= weight;
    return wait;
  }

  /** Counts a refusal: a connection with too many in a row is closed. */
  refused(connection: Connection): void {
    if (++connection.refused > this.#limits.maxRefusedCommands) connection.close('rate_limited', 'rate_limited');
  }
}
