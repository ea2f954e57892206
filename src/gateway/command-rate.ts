import type { Connection } from './connection.ts';

export interface CommandRateLimits {
  readonly commandsPerSecond: number;
  readonly commandBurst: number;
  /** Refused in a row after which the connection is closed. */
  readonly maxRefusedCommands: number;
}

/**
 * What a connection may ask for: its token bucket, and its end when it goes on regardless. Commands take from it by their
 * weight, and so does each packet that no client of good faith repeats: else those alone would be without any limit.
 */
export class CommandRate {
  readonly #limits: CommandRateLimits;

  constructor(limits: CommandRateLimits) {
    this.#limits = limits;
  }

  /** @returns 0 if the connection had as much, else the milliseconds in which so much comes. */
  take(connection: Connection, weight: number, now: number = performance.now()): number {
    const { commandsPerSecond, commandBurst, maxRefusedCommands } = this.#limits;
    // whole milliseconds, so that the fields stay small integers
    const at = Math.floor(now);
    const refill = ((at - connection.refilledAt) / 1000) * commandsPerSecond;
    if (refill >= 1) {
      const whole = Math.floor(refill);
      connection.credit = Math.min(commandBurst, connection.credit + whole);
      connection.refilledAt = at - Math.floor(((refill - whole) * 1000) / commandsPerSecond);
    }
    if (connection.credit < weight) {
      if (++connection.refused > maxRefusedCommands) connection.close('rate_limited', 'rate_limited');
      return Math.ceil((1000 * weight) / commandsPerSecond);
    }
    connection.credit -= weight;
    return 0;
  }
}
