/**
 * The presence that the watchers of this node know of each watched user. All watchers of a user know the same.
 *
 * of a user: (first watcher) unread → read → online ⇄ offline. online → (gone) leaving → (back within 5 s) online, silently;
 * or offline, published, once a second read has confirmed it. No watcher left: forgotten.
 *
 * Changes may be lost, and so may the state in the shared store. Therefore the known state is compared with presence in
 * rounds. A user who is missing there without a change is doubted: the nodes are queried, and 5 s later presence once more.
 */
import { systemClock, type Clock } from '../jobs/clock.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';
import type { Change, Presence, UserPresence } from './presence.ts';
import { graceMs, visiblePresence, type VisiblePresence } from './sight.ts';

export interface WatchedUser<W> {
  readonly watchers: Set<W>;
  /** The last presence that all watchers of the user got; undefined until it is read. */
  known: VisiblePresence | undefined;
  /** Grows with each change that arrives, so that a reader knows whether its answer may be old. */
  changes: number;
  /** The user is gone. Unless the user comes back, that is published at the given moment of the process's life. */
  leaving: Leaving | undefined;
}

interface Leaving {
  readonly at: number;
  readonly lastSeen: number | undefined;
  /** No change said so; the user only was missing when presence was read. */
  readonly doubted: boolean;
}

export interface KnownPresenceOptions<W> {
  /** A change for all watchers of the user, which got `before` last. */
  publish(user: string, watchers: ReadonlySet<W>, presence: VisiblePresence, before: VisiblePresence): void;
  fault(error: unknown): void;
  readonly clock?: Clock;
}

/** The least time between two confirmations, and between two comparisons. */
const sweepMs = 250;

/** Users that are read once more, in one call, before they are published as offline. */
const maxDue = 1000;
/** A round of comparisons begins this long after the one before began. */
const compareMs = 5000;
/** Users in one comparison (a millisecond of Redis), of which there is one in 250 ms: 2,000 users a second. */
const compared = 500;

export class KnownPresence<W> {
  readonly #options: KnownPresenceOptions<W>;
  readonly #users = new Map<string, WatchedUser<W>>();
  readonly #leaving = new Set<string>();
  #presence: Presence | undefined = undefined;
  #uncompared: string[] = [];
  readonly #clock: Clock;
  #compareBegan: number;
  /** Both wait for Redis, so neither waits for the other. */
  readonly #tasks: readonly PeriodicTask[];

  constructor(options: KnownPresenceOptions<W>) {
    this.#options = options;
    const { clock = systemClock } = options;
    this.#clock = clock;
    this.#compareBegan = clock.now();
    const failed = (error: unknown): void => options.fault(error);
    const pace = { everyMs: 0, leastMs: sweepMs, failed, clock };
    this.#tasks = [
      new PeriodicTask({ ...pace, run: () => this.#confirm(this.#due()) }),
      new PeriodicTask({ ...pace, run: () => this.#compare(this.#nextCompared()) }),
    ];
    for (const task of this.#tasks) task.start(sweepMs);
  }

  start(presence: Presence): void {
    this.#presence = presence;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#tasks.map((task) => task.stop()));
  }

  get(user: string): WatchedUser<W> | undefined {
    return this.#users.get(user);
  }

  /** The user, from now on with the state that `changed` and `load` bring. */
  open(user: string): WatchedUser<W> {
    let entry = this.#users.get(user);
    if (entry === undefined) {
      entry = { watchers: new Set(), known: undefined, changes: 0, leaving: undefined };
      this.#users.set(user, entry);
    }
    return entry;
  }

  forget(user: string): void {
    this.#users.delete(user);
    this.#leaving.delete(user);
  }

  changed(changes: readonly Change[]): void {
    for (const { user, ...state } of changes) {
      const entry = this.#users.get(user);
      if (entry === undefined) continue;
      entry.changes++;
      if (entry.known !== undefined) this.#apply(user, entry, state);
    }
  }

  /** Changes may have been missed: the next sweep begins a round of comparisons. */
  reset(): void {
    this.#compareBegan = -Infinity;
    this.#uncompared = [];
  }

  read(users: readonly string[]): Promise<UserPresence[]> {
    if (this.#presence === undefined || users.length === 0) return Promise.resolve([]);
    return this.#presence.read(users);
  }

  /** Reads until no change came during the read; three times at most, the next change corrects the rest. */
  async load(users: readonly string[]): Promise<void> {
    let wanted = users.filter((user) => this.#users.get(user)?.known === undefined);
    for (let round = 0; wanted.length > 0 && round < 3; round++) {
      const before = wanted.map((user) => this.#users.get(user)?.changes);
      const states = await this.read(wanted);
      wanted = wanted.filter((user, i) => {
        const entry = this.#users.get(user);
        const state = states[i];
        if (entry === undefined || state === undefined) return false;
        this.#apply(user, entry, state);
        return entry.changes !== before[i];
      });
    }
  }

  #apply(user: string, entry: WatchedUser<W>, state: UserPresence, doubted = false): void {
    const { online, lastSeen, agoMs } = state;
    const waitMs = agoMs === undefined ? 0 : Math.max(0, graceMs - agoMs);
    if (online) {
      this.#stay(user, entry);
      if (entry.known?.online !== true) this.#set(user, entry, { online: true });
    } else if (entry.known === undefined && waitMs === 0) {
      entry.known = visiblePresence(state);
    } else if (entry.known?.online === false) {
      if (lastSeen !== undefined) entry.known.lastSeen = lastSeen;
    } else {
      entry.known ??= { online: true };
      if (entry.leaving !== undefined && (doubted || !entry.leaving.doubted)) return;
      entry.leaving = { at: this.#clock.now() + waitMs, lastSeen, doubted };
      this.#leaving.add(user);
    }
  }

  #stay(user: string, entry: WatchedUser<W>): void {
    entry.leaving = undefined;
    this.#leaving.delete(user);
  }

  /** The first state is not published: each watcher gets it with the answer to `presence:watch`. */
  #set(user: string, entry: WatchedUser<W>, presence: VisiblePresence): void {
    const before = entry.known;
    entry.known = presence;
    if (before !== undefined && entry.watchers.size > 0) this.#options.publish(user, entry.watchers, presence, before);
  }

  /** Users whose absence is due. */
  #due(): string[] {
    const now = this.#clock.now();
    const due = [...this.#leaving].filter((user) => (this.#users.get(user)?.leaving?.at ?? 0) <= now);
    return due.slice(0, maxDue);
  }

  /** A change that says that they are back may have been lost, so presence is read before the absence is published. */
  async #confirm(users: readonly string[]): Promise<void> {
    if (users.length === 0) return;
    const before = users.map((user) => this.#users.get(user)?.leaving);
    const checked = await this.#presence?.check(users);
    const states = checked ?? (await this.read(users));
    users.forEach((user, i) => {
      const entry = this.#users.get(user);
      const leaving = before[i];
      if (entry === undefined || leaving === undefined || entry.leaving !== leaving) return;
      this.#stay(user, entry);
      // other nodes are unreachable, and no change said that the user is gone
      if (leaving.doubted && checked === undefined) return;
      const { online, lastSeen = leaving.lastSeen } = states[i] ?? { online: false };
      if (!online) this.#set(user, entry, visiblePresence(lastSeen === undefined ? { online } : { online, lastSeen }));
    });
  }

  #nextCompared(): string[] {
    const now = this.#clock.now();
    if (this.#uncompared.length === 0 && now - this.#compareBegan >= compareMs) {
      this.#compareBegan = now;
      this.#uncompared = [...this.#users.keys()];
    }
    return this.#uncompared.splice(-compared);
  }

  /** A change that came during the read is newer. A user who only is missing there has 5 s to be back. */
  async #compare(users: readonly string[]): Promise<void> {
    if (users.length === 0) return;
    const before = users.map((user) => this.#users.get(user)?.changes);
    const states = await this.#presence?.check(users);
    const missing = users.filter((user, i) => {
      const entry = this.#users.get(user);
      const state = states?.[i];
      if (state === undefined || entry?.known === undefined || entry.changes !== before[i]) return false;
      this.#apply(user, entry, { ...state, agoMs: 0 }, true);
      return entry.leaving?.doubted === true;
    });
    if (missing.length > 0) this.#presence?.doubt(missing);
  }
}
