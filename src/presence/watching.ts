import { ParleyError } from '../protocol/errors.ts';
import type { Change, Presence, PresenceListener } from './presence.ts';
import { BlockedWatches } from './blocked-watches.ts';
import { KnownPresence } from './known-presence.ts';
import { PairChecks } from './pair-checks.ts';
import { presenceOfBlocker, visiblePresence, type Blocked, type Sight, type VisiblePresence } from './sight.ts';
import { UnsentChanges } from './unsent-changes.ts';
import { systemClock, type Clock } from '../jobs/clock.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';
import { every } from '../jobs/periodic.ts';

export interface Pair {
  readonly viewer: string;
  readonly user: string;
}

export interface WatchingOptions<W extends object> {
  readonly maxWatched: number;
  /** The user that watches through this watcher. */
  viewerOf(watcher: W): string | undefined;
  /** Whether the viewers see the users: one answer for each pair, in order. */
  sights(pairs: readonly Pair[]): Promise<Sight[]>;
  /** Sends a change to watchers. */
  sendPresence(watchers: ReadonlySet<W>, user: string, presence: VisiblePresence): void;
  /** The viewer may not see the user any more; the watch has ended. */
  ended(watcher: W, user: string): void;
  fault(error: unknown): void;
  /** Whether memberships are known to be recent enough; if not, changes wait. */
  mayPublish(): boolean;
  readonly clock?: Clock;
}

const sweepMs = 250;

/**
 * Which connections of this node watch which users, and which of them may see a change.
 *
 * A watch is there before the answer is read, so no change falls between. The permission to see is read before the watch
 * begins, again when the viewer or the user leaves any room, and in rounds (pair-checks.ts). A watch ends at most 30 s
 * after the last shared room is gone. With more than 60,000 watched pairs on the node, that time grows in proportion. From the moment that
 * one of them leaves a room until the answer, changes of the pair wait.
 *
 * of a pair: seen ⇄ (the user blocks the viewer, or lifts the block) blocked (blocked-watches.ts) → (no shared room) ended.
 */
export class Watching<W extends object> implements PresenceListener {
  readonly #options: WatchingOptions<W>;
  readonly #known: KnownPresence<W>;
  readonly #checks: PairChecks<W>;
  readonly #watched = new Map<W, Set<string>>();
  readonly #blocked: BlockedWatches<W>;
  readonly #unsent = new UnsentChanges<W>();
  readonly #sweeper: NodeJS.Timeout;
  readonly #checker: PeriodicTask;
  #presence: Presence | undefined = undefined;
  #departures = 0;
  #pairs = 0;

  constructor(options: WatchingOptions<W>) {
    this.#options = options;
    const { clock = systemClock } = options;
    this.#blocked = new BlockedWatches(clock);
    this.#known = new KnownPresence({
      clock,
      publish: (user, watchers, presence, before) => this.#publish(user, watchers, presence, before),
      fault: (error) => options.fault(error),
    });
    this.#checks = new PairChecks({
      viewerOf: (watcher) => options.viewerOf(watcher),
      watchersOf: (user) => [...(this.#known.get(user)?.watchers ?? []), ...this.#blocked.watchersOf(user)],
      all: () => this.#watched,
      clock,
    });
    // changes that are due do not wait for a check, which waits for Postgres
    this.#sweeper = every(() => this.#sweep(clock.now()), sweepMs);
    this.#checker = new PeriodicTask({
      run: () => this.#checkNext(clock.now()),
      everyMs: 0,
      leastMs: sweepMs,
      failed: (error) => options.fault(error),
      clock,
    });
    this.#checker.start(sweepMs);
  }

  /** Presence has this part as its listener, so presence is made later. */
  start(presence: Presence): void {
    this.#presence = presence;
    this.#known.start(presence);
  }

  async stop(): Promise<void> {
    clearInterval(this.#sweeper);
    await Promise.all([this.#checker.stop(), this.#known.stop()]);
  }

  /** Watched users, summed over watchers. */
  get pairs(): number {
    return this.#pairs;
  }

  /** The presence of the users that the viewer may see, as it is now. */
  async get(viewer: string, users: readonly string[]): Promise<Map<string, VisiblePresence>> {
    const sights = await this.#sightsOf(viewer, users);
    const read = [...sights.keys()];
    const states = await this.#known.read(read);
    return new Map(
      read.map((user, i) => [
        user,
        this.#blockedPresence(sights.get(user)) ??
          this.#known.get(user)?.known ??
          visiblePresence(states[i] ?? { online: false }),
      ]),
    );
  }

  /** The same, and from now on the changes. @throws {ParleyError} `limit_reached`, and nothing has begun. */
  async watch(watcher: W, users: readonly string[]): Promise<Map<string, VisiblePresence>> {
    this.#requireSpace(watcher, users);
    const viewer = this.#options.viewerOf(watcher);
    const departures = this.#departures;
    const sights = viewer === undefined ? new Map<string, Sight>() : await this.#sightsOf(viewer, users);
    const watched = [...sights.keys()];
    // the connection may have ended or have another user by now, or other watches may have begun meanwhile
    if (viewer === undefined || this.#options.viewerOf(watcher) !== viewer) throw new ParleyError('unavailable');
    this.#requireSpace(watcher, watched);
    for (const [user, sight] of sights) {
      this.#add(watcher, user);
      if (typeof sight === 'object') this.#block(watcher, user, sight, this.#knowsOnline(watcher, user));
      else this.#unblock(watcher, user);
    }
    if (departures !== this.#departures) this.#checks.suspect(viewer);
    await this.#known.load(watched);
    // a check may have ended or blocked a watch meanwhile
    const answered = watched.filter((user) => this.#watched.get(watcher)?.has(user) === true);
    return new Map(answered.map((user) => [user, this.#answer(watcher, user)]));
  }

  /** @param users all of them, if undefined. */
  unwatch(watcher: W, users?: readonly string[]): void {
    for (const user of users ?? [...(this.#watched.get(watcher) ?? [])]) this.#remove(watcher, user);
  }

  /** The user left a room. A pair of the user may have no other shared room. */
  departed(user: string): void {
    this.#departures++;
    if (this.#pairs > 0) this.#checks.suspect(user);
  }

  changed(changes: readonly Change[]): void {
    this.#known.changed(changes);
  }

  reset(): void {
    this.#known.reset();
  }

  /** Only the users that the viewer may learn anything of. */
  async #sightsOf(viewer: string, users: readonly string[]): Promise<Map<string, Sight>> {
    const distinct = [...new Set(users)];
    const sights = await this.#options.sights(distinct.map((user) => ({ viewer, user })));
    return new Map(
      distinct.flatMap((user, i): [string, Sight][] => {
        const sight = sights[i] ?? 'none';
        return sight === 'none' ? [] : [[user, sight]];
      }),
    );
  }

  #blockedPresence(sight: Sight | undefined): VisiblePresence | undefined {
    if (typeof sight !== 'object') return undefined;
    return visiblePresence(presenceOfBlocker(sight, this.#presence?.rememberedMs ?? 0));
  }

  #block(watcher: W, user: string, sight: Blocked, knowsOnline: boolean): void {
    const remembered = this.#presence?.rememberedMs ?? 0;
    if (!this.#blocked.add(watcher, user, sight, knowsOnline, remembered)) return;
    this.#known.get(user)?.watchers.delete(watcher);
    this.#unsent.delete(watcher, user);
  }

  /** No block, or no more. A watcher that got another state last is to get the present one. */
  #unblock(watcher: W, user: string): void {
    const lastSent = this.#blocked.remove(watcher, user);
    if (lastSent === undefined) return;
    const entry = this.#known.get(user);
    entry?.watchers.add(watcher);
    if ((entry?.known?.online === true) !== lastSent.online) this.#unsent.add(watcher, user, lastSent);
  }

  /** The presence for an answer. The watcher has that presence from then on, so no earlier change waits. */
  #answer(watcher: W, user: string): VisiblePresence {
    this.#unsent.delete(watcher, user);
    return this.#blocked.answer(watcher, user) ?? this.#known.get(user)?.known ?? { online: false };
  }

  #sendBlocked(watcher: W, user: string, presence: VisiblePresence): boolean {
    if (this.#isUncertain(watcher, user) || !this.#options.mayPublish()) return false;
    this.#options.sendPresence(new Set([watcher]), user, presence);
    return true;
  }

  #requireSpace(watcher: W, users: readonly string[]): void {
    const present = this.#watched.get(watcher);
    const more = new Set(users.filter((user) => present?.has(user) !== true)).size;
    if ((present?.size ?? 0) + more <= this.#options.maxWatched) return;
    throw new ParleyError('limit_reached', `A connection may watch ${this.#options.maxWatched} users.`);
  }

  #publish(user: string, watchers: ReadonlySet<W>, presence: VisiblePresence, before: VisiblePresence): void {
    if (this.#checks.settled && this.#unsent.isEmpty && this.#options.mayPublish()) {
      return this.#options.sendPresence(watchers, user, presence);
    }
    this.#publishToCertain(user, watchers, presence, before);
  }

  /** The change of a pair that may have ended waits for a check of the pair. */
  #publishToCertain(user: string, watchers: ReadonlySet<W>, presence: VisiblePresence, before: VisiblePresence): void {
    const certain = new Set<W>();
    const mayPublish = this.#options.mayPublish();
    for (const watcher of watchers) {
      if (mayPublish && !this.#isUncertain(watcher, user)) {
        if (this.#unsent.take(watcher, user, presence)) certain.add(watcher);
        continue;
      }
      this.#unsent.add(watcher, user, before);
      // also where the pair was checked a moment ago
      this.#checks.suspect(user);
    }
    if (certain.size > 0) this.#options.sendPresence(certain, user, presence);
  }

  #isUncertain(watcher: W, user: string): boolean {
    return this.#checks.isUncertain(user) || this.#checks.isUncertain(this.#options.viewerOf(watcher) ?? '');
  }

  /** The watcher could see the user a moment ago: a change that waited is sent as it is now, or waits for another check. */
  #sendUnsent(watcher: W, user: string): void {
    if (this.#unsent.lastSent(watcher, user) === undefined) return;
    const viewer = this.#options.viewerOf(watcher) ?? '';
    const isAgain = this.#checks.isSuspected(user) || this.#checks.isSuspected(viewer);
    if (isAgain || !this.#options.mayPublish()) return this.#checks.suspect(user);
    const known = this.#known.get(user)?.known ?? { online: false };
    if (this.#unsent.take(watcher, user, known)) this.#options.sendPresence(new Set([watcher]), user, known);
  }

  /** Whether the watcher got `online` last. */
  #knowsOnline(watcher: W, user: string): boolean {
    return (this.#unsent.lastSent(watcher, user) ?? this.#known.get(user)?.known)?.online === true;
  }

  #add(watcher: W, user: string): void {
    const entry = this.#known.open(user);
    let watched = this.#watched.get(watcher);
    if (watched === undefined) this.#watched.set(watcher, (watched = new Set()));
    if (watched.has(user)) return;
    watched.add(user);
    entry.watchers.add(watcher);
    this.#pairs++;
  }

  #remove(watcher: W, user: string): void {
    const watched = this.#watched.get(watcher);
    if (watched?.delete(user) !== true) return;
    if (watched.size === 0) this.#watched.delete(watcher);
    this.#pairs--;
    this.#unsent.delete(watcher, user);
    const entry = this.#known.get(user);
    entry?.watchers.delete(watcher);
    this.#blocked.remove(watcher, user);
    if (entry?.watchers.size === 0 && !this.#blocked.has(user)) this.#known.forget(user);
  }

  #sweep(now: number): void {
    this.#blocked.sendDue(now, (watcher, user, presence) => this.#sendBlocked(watcher, user, presence));
  }

  async #checkNext(now: number): Promise<void> {
    const pairs = this.#pairs === 0 ? [] : this.#checks.next(now);
    if (pairs.length === 0) return;
    try {
      const sights = await this.#options.sights(
        pairs.map(({ watcher, user }) => ({ viewer: this.#options.viewerOf(watcher) ?? '', user })),
      );
      pairs.forEach(({ watcher, user }, i) => {
        if (this.#watched.get(watcher)?.has(user) !== true) return;
        const sight = sights[i] ?? 'none';
        if (typeof sight === 'object') {
          return this.#block(watcher, user, sight, this.#knowsOnline(watcher, user));
        }
        if (sight === 'seen') {
          this.#unblock(watcher, user);
          return this.#sendUnsent(watcher, user);
        }
        this.#remove(watcher, user);
        this.#options.ended(watcher, user);
      });
      this.#checks.checked();
    } catch (error) {
      // Postgres is unavailable, so no user can leave a room either; the next sweep queries the same pairs
      this.#checks.retry(pairs);
      throw error;
    }
  }
}
