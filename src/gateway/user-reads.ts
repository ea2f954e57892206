/**
 * Reads of messages, by user: a few run at once, the others wait for their turn. Each may bring a megabyte and takes a
 * connection to Postgres, so twenty connections of one user would otherwise hold all of both.
 */
import { ParleyError } from '../protocol/errors.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { LocalUser } from './connection.ts';

export interface UserReadLimits {
  readonly readsAtOncePerUser: number;
}

/** Reads of a user that may wait, as a multiple of those that may run. */
const waitingFactor = 8;

export class UserReads {
  readonly #limits: UserReadLimits;
  readonly #metrics: Metrics;

  constructor(limits: UserReadLimits, metrics: Metrics) {
    this.#limits = limits;
    this.#metrics = metrics;
  }

  /**
   * Starts the read, at once or when its turn comes.
   * @throws {ParleyError} `overloaded` if as many wait as may.
   */
  run<T>(user: LocalUser, read: () => T | Promise<T>): Promise<T> {
    const { readsAtOncePerUser } = this.#limits;
    const reads = (user.reads ??= { running: 0, waiting: [] });
    if (reads.running < readsAtOncePerUser) return this.#start(user, read);
    if (reads.waiting.length >= waitingFactor * readsAtOncePerUser) {
      this.#metrics.answersRefused.inc({ limit: 'reads' });
      throw new ParleyError(
        'overloaded',
        'Your connections wait for as many pages as they may; wait for these first.',
        { retryAfter: 100 },
      );
    }
    return new Promise((resolve, reject) => {
      reads.waiting.push(() => {
        this.#start(user, read).then(resolve, reject);
      });
    });
  }

  async #start<T>(user: LocalUser, read: () => T | Promise<T>): Promise<T> {
    const reads = (user.reads ??= { running: 0, waiting: [] });
    reads.running++;
    try {
      return await read();
    } finally {
      reads.running--;
      const next = reads.waiting.shift();
      if (next !== undefined) next();
      else if (reads.running === 0) user.reads = undefined;
    }
  }
}
