/**
 * Places that users share: so much work at once, and the users who wait take turns. A user with a hundred waiting pieces
 * of work gets a place as often as a user with one.
 *
 * A waiting piece of work leaves when it gets a place, when it has waited for `waitMs`, or when the queue is full and
 * another user, who has less waiting, asks: the user with the most waiting loses the newest piece.
 */
import { ParleyError } from '../protocol/errors.ts';

export interface FairTurnsOptions {
  /** Work at once. */
  readonly places: number;
  /** Work of one user at once. */
  readonly placesPerUser: number;
  /** Work that waits, of all users. */
  readonly waiting: number;
  readonly waitingPerUser: number;
  /** Work that waited for longer is refused. */
  readonly waitMs: number;
  /** Called for each piece of work that is refused. */
  readonly refused: (limit: RefusedTurn) => void;
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

const retryAfterMs = 1000;

export class FairTurns {
  readonly #options: FairTurnsOptions;
  /** Users with running or waiting work. Those who wait for a place stand in the order of their turns. */
  readonly #shares = new Map<string, Share>();
  #running = 0;
  #waiting = 0;
  #timer: NodeJS.Timeout | undefined = undefined;

  constructor(options: FairTurnsOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** @throws {ParleyError} `overloaded` when the work gets no place */
  async take<T>(user: string, work: () => Promise<T>): Promise<T> {
    const { places, placesPerUser } = this.#options;
    const share = this.#shares.get(user) ?? { running: 0, waiting: [] };
    if (this.#running < places && share.running < placesPerUser) {
      share.running++;
      this.#running++;
      this.#shares.set(user, share);
    } else {
      await this.#wait(user, share);
    }
    try {
      return await work();
    } finally {
      share.running--;
      this.#running--;
      // whoever had a place is the last to get the next one
      this.#shares.delete(user);
      if (share.running > 0 || share.waiting.length > 0) this.#shares.set(user, share);
      this.#next();
    }
  }

  #wait(user: string, share: Share): Promise<void> {
    const { waiting, waitingPerUser, waitMs } = this.#options;
    return new Promise((resolve, reject) => {
      const refuse = (limit: RefusedTurn): void => {
        this.#options.refused(limit);
        reject(new ParleyError('overloaded', limit === 'user' ? ownWait : undefined, { retryAfter: retryAfterMs }));
      };
      if (share.waiting.length >= waitingPerUser) return refuse('user');
      if (this.#waiting >= waiting && !this.#makeRoom(share.waiting.length)) return refuse('queue');
      share.waiting.push({ begin: resolve, refuse, until: performance.now() + waitMs });
      this.#waiting++;
      this.#shares.set(user, share);
      this.#watch();
    });
  }

  /** Refuses the newest work of the user with the most waiting, if that user has more than the newcomer would have. */
  #makeRoom(own: number): boolean {
    let longest: Share | undefined;
    for (const share of this.#shares.values()) {
      if (share.waiting.length > (longest?.waiting.length ?? 0)) longest = share;
    }
    if (longest === undefined || longest.waiting.length <= own + 1) return false;
    this.#waiting--;
    longest.waiting.pop()?.refuse('queue');
    return true;
  }

  /** Gives free places to the users whose turn is next. */
  #next(): void {
    const { places, placesPerUser } = this.#options;
    if (this.#running >= places) return;
    for (const [user, share] of this.#shares) {
      if (share.waiting.length === 0 || share.running >= placesPerUser) continue;
      const [first] = share.waiting.splice(0, 1);
      this.#waiting--;
      share.running++;
      this.#running++;
      // the others come before this user's next work
      this.#shares.delete(user);
      this.#shares.set(user, share);
      first?.begin();
      if (this.#running >= places) return;
    }
  }

  /** One timer for all waiting work. */
  #watch(): void {
    if (this.#timer !== undefined || this.#waiting === 0) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        const now = performance.now();
        for (const [user, share] of this.#shares) {
          while ((share.waiting[0]?.until ?? Infinity) <= now) {
            this.#waiting--;
            share.waiting.shift()?.refuse('time');
          }
          if (share.running === 0 && share.waiting.length === 0) this.#shares.delete(user);
        }
        this.#watch();
      },
      Math.min(this.#options.waitMs, 250),
    );
    this.#timer.unref();
  }
}

const ownWait = 'Wait for the answers that are on their way.';
