/**
 * The share of one user in a node's work: every read, search and lookup of a user takes its turn here.
 * Users share the places of one kind of work. So much work runs at once, and the users who wait take turns. A user with a
 * hundred waiting pieces of work gets a place as often as a user with one.
 *
 * A waiting piece of work leaves when it gets a place, or when it has waited for `waitMs`. When the queue is full, a user
 * with less waiting work takes the place of the newest piece of the user with the most. Each refusal is the same error and is
 * counted in the same metric.
 */
import { systemClock, type Clock, type ClockTimer } from '../jobs/clock.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** `answers`: large answers in memory, `reads`: connections to Postgres, `sessions`: questions to the other nodes. */
export type TurnPlace = 'answers' | 'presence' | 'reads' | 'search' | 'sessions' | 'sync';

export interface FairTurnsOptions {
  /** The kind of work, a label of the metric. */
  readonly place: TurnPlace;
  /** Work at once. Infinity: each user has a share, and the users share nothing. */
  readonly places: number;
  /** Work of one user at once. */
  readonly placesPerUser: number;
  /** Work that waits, of all users. */
  readonly waiting: number;
  readonly waitingPerUser: number;
  /** Work that waited for longer is refused. */
  readonly waitMs: number;
  /** After its end, work keeps its place for as long as the work took, but not longer than this. Default: 0. */
  readonly mostRestMs?: number;
  readonly metrics: Metrics;
  readonly clock?: Clock;
}

/** The limit that refused a piece of work: the user's share, the whole queue, or the time. */
export type RefusedTurn = 'user' | 'queue' | 'time';

interface Waiting {
  readonly begin: () => void;
  readonly refuse: (limit: RefusedTurn) => void;
  readonly until: number;
}

interface Share {
  running: number;
  readonly waiting: Waiting[];
}

/** A user over the share waits for the user's own answers; the others wait for a queue that is longer. */
const retryAfterMs: Readonly<Record<RefusedTurn, number>> = { user: 100, queue: 1000, time: 1000 };
const ownWait = 'Wait for the answers that are on their way.';

export class FairTurns {
  readonly #options: FairTurnsOptions;
  /** Users with running or waiting work. */
  readonly #shares = new Map<string, Share>();
  /** Users with waiting work who have less running than they may, in the order of their turns. */
  readonly #line = new Map<string, Share>();
  #running = 0;
  #waiting = 0;
  readonly #clock: Clock;
  #timer: ClockTimer | undefined = undefined;
  #scheduled = false;

  constructor(options: FairTurnsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** @throws {ParleyError} `overloaded` when the work gets no place */
  async take<T>(user: string, work: () => T | Promise<T>): Promise<T> {
    const { places, placesPerUser } = this.#options;
    const share = this.#shares.get(user) ?? { running: 0, waiting: [] };
    // a place that is free for one turn belongs to waiting work
    if (this.#line.size === 0 && this.#running < places && share.running < placesPerUser) {
      share.running++;
      this.#running++;
      this.#shares.set(user, share);
    } else {
      await this.#wait(user, share);
    }
    const from = this.#clock.now();
    try {
      return await work();
    } finally {
      const rest = Math.min(this.#clock.now() - from, this.#options.mostRestMs ?? 0);
      if (rest <= 0) this.#ended(user, share);
      else this.#clock.after(rest, () => this.#ended(user, share)).unref();
    }
  }

  #ended(user: string, share: Share): void {
    share.running--;
    this.#running--;
    // the user who had a place is the last to get the next one
    this.#line.delete(user);
    if (share.waiting.length > 0) this.#line.set(user, share);
    else if (share.running === 0) this.#shares.delete(user);
    this.#next();
  }

  #wait(user: string, share: Share): Promise<void> {
    const { waiting, waitingPerUser, placesPerUser, waitMs } = this.#options;
    return new Promise((resolve, reject) => {
      const refuse = (limit: RefusedTurn): void => {
        const { place, metrics } = this.#options;
        metrics.turnsRefused.inc({ place, limit });
        const retryAfter = retryAfterMs[limit];
        reject(new ParleyError('overloaded', limit === 'user' ? ownWait : undefined, { retryAfter }));
      };
      if (share.waiting.length >= waitingPerUser) return refuse('user');
      if (this.#waiting >= waiting && !this.#makeRoom(share.waiting.length)) return refuse('queue');
      share.waiting.push({ begin: resolve, refuse, until: this.#clock.now() + waitMs });
      this.#waiting++;
      this.#shares.set(user, share);
      if (share.running < placesPerUser) this.#line.set(user, share);
      this.#watch();
    });
  }

  /** Refuses the newest work of the user with the most waiting, if that user has more than the new user would have. */
  #makeRoom(own: number): boolean {
    let longest: Share | undefined;
    for (const share of this.#shares.values()) {
      if (share.waiting.length > (longest?.waiting.length ?? 0)) longest = share;
    }
    // at least one stays with the user, whose place in the line is kept
    if (longest === undefined || longest.waiting.length <= own + 1) return false;
    this.#waiting--;
    longest.waiting.pop()?.refuse('queue');
    return true;
  }

  /**
   * Waiting work begins in a later turn of the event loop. Answers from memory end in the turn in which they began. So one
   * turn would make all waiting answers of a user, and read no frame of other users for 32 answers.
   */
  #next(): void {
    if (this.#scheduled || this.#line.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#begin();
    });
  }

  /** Gives free places to the users whose turn is next, one to each user in a turn of the event loop. */
  #begin(): void {
    const { places, placesPerUser } = this.#options;
    for (const [user, share] of Array.from(this.#line)) {
      if (this.#running >= places) return;
      const first = share.waiting.shift();
      this.#waiting--;
      share.running++;
      this.#running++;
      // the others come before this user's next work
      this.#line.delete(user);
      if (share.waiting.length > 0 && share.running < placesPerUser) this.#line.set(user, share);
      first?.begin();
    }
    if (this.#running < places) this.#next();
  }

  /** One timer for all waiting work. */
  #watch(): void {
    if (this.#timer !== undefined || this.#waiting === 0) return;
    this.#timer = this.#clock.after(Math.min(this.#options.waitMs, 250), () => {
      this.#timer = undefined;
      this.#refuseLate(this.#clock.now());
      this.#watch();
    });
    this.#timer.unref();
  }

  #refuseLate(now: number): void {
    for (const [user, share] of this.#shares) {
      while ((share.waiting[0]?.until ?? Infinity) <= now) {
        this.#waiting--;
        share.waiting.shift()?.refuse('time');
      }
      if (share.waiting.length > 0) continue;
      this.#line.delete(user);
      if (share.running === 0) this.#shares.delete(user);
    }
  }
}
