import type { Connection } from '../hub/connection.ts';
import type { UserShares } from './user-shares.ts';

export interface CommandRateLimits {
  readonly commandsPerSecond: number;
  readonly commandBurst: number;
  /** Refused in a row after which the connection is closed. */
  readonly maxRefusedCommands: number;
}

/**
 * What a connection may ask for: its token bucket and that of its user, and its end when it goes on regardless. Commands
 * take from both by their weight, and so does each packet that no client of good faith repeats: else those alone would be
 * without any limit. A connection without a user takes from its address; without anything left there it ends at once,
 * since every packet that counts here follows a refusal or serves no purpose.
 */
export class CommandRate {
  readonly #limits: CommandRateLimits;
  readonly #shares: UserShares;

  constructor(limits: CommandRateLimits, shares: UserShares) {
    this.#limits = limits;
    this.#shares = shares;
  }

  /** @returns 0 if the connection and its user had as much, else the milliseconds in which so much comes. */
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
      const wait = this.#shares.stranger(connection.address.network, now);
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
