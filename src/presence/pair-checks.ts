/**
 * The pairs of a watcher and a user, and when each is checked again for what the watcher may see of the user.
 *
 * of a user: settled → (`suspect`: the user left a room, or a change waits) suspected → (`next`) under check → (all urgent
 * pairs are checked) settled. A pair with a user that is not settled is checked first; all other pairs come in rounds.
 */

import type { Clock } from '../jobs/clock.ts';

export interface WatchedPair<W> {
  readonly watcher: W;
  readonly user: string;
}

/** The watches of this node. */
export interface Watches<W> {
  viewerOf(watcher: W): string | undefined;
  watchersOf(user: string): Iterable<W>;
  all(): Iterable<readonly [watcher: W, users: Iterable<string>]>;
  readonly clock: Clock;
}

/** A round over all pairs begins this long after the one before began. */
const roundMs = 30_000;
/** Pairs in one query (20 ms of Postgres's time), of which there is one in 250 ms: 2,000 pairs a second. */
const pairsAQuery = 500;

export class PairChecks<W> {
  readonly #watches: Watches<W>;
  readonly #suspects = new Set<string>();
  readonly #underCheck = new Set<string>();
  #urgent: WatchedPair<W>[] = [];
  #round: WatchedPair<W>[] = [];
  #roundBegan: number;

  constructor(watches: Watches<W>) {
    this.#watches = watches;
    this.#roundBegan = watches.clock.now();
  }

  /** The pairs of the user are to be checked, those that the user watches and those of the user's watchers. */
  suspect(user: string): void {
    this.#suspects.add(user);
  }

  /** No user is suspected or under check. */
  get settled(): boolean {
    return this.#suspects.size === 0 && this.#underCheck.size === 0;
  }

  /** A pair of the user may have ended. */
  isUncertain(user: string): boolean {
    return this.#suspects.has(user) || this.#underCheck.has(user);
  }

  /** The user is to be checked once more, whatever the check that is under way finds. */
  isSuspected(user: string): boolean {
    return this.#suspects.has(user);
  }

  /** The pairs to check now: those of suspected users, else the next of the round. */
  next(now: number): WatchedPair<W>[] {
    this.#gatherSuspects();
    if (this.#urgent.length > 0) return this.#urgent.splice(-pairsAQuery);
    this.#underCheck.clear();
    if (this.#round.length === 0 && now - this.#roundBegan >= roundMs) {
      this.#roundBegan = now;
      for (const [watcher, users] of this.#watches.all()) for (const user of users) this.#round.push({ watcher, user });
    }
    return this.#round.splice(-pairsAQuery);
  }

  /** The pairs of `next` are checked. */
  checked(): void {
    if (this.#urgent.length === 0) this.#underCheck.clear();
  }

  /** The check failed: the next one takes the same pairs. */
  retry(pairs: readonly WatchedPair<W>[]): void {
    this.#urgent.push(...pairs);
  }

  /** At most all pairs of the node. */
  #gatherSuspects(): void {
    if (this.#suspects.size === 0 || this.#urgent.length > 0) return;
    for (const user of this.#suspects) {
      for (const watcher of this.#watches.watchersOf(user)) this.#urgent.push({ watcher, user });
    }
    for (const [watcher, users] of this.#watches.all()) {
      if (!this.#suspects.has(this.#watches.viewerOf(watcher) ?? '')) continue;
      for (const user of users) this.#urgent.push({ watcher, user });
    }
    for (const user of this.#suspects) this.#underCheck.add(user);
    this.#suspects.clear();
  }
}
