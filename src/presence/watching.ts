import { ParleyError } from '../protocol/errors.ts';
import type { Change, Presence, PresenceListener, Standing } from './presence.ts';
import { BlockedWatches } from './blocked-watches.ts';
import { blockedStanding, graceMs, toldOf, type Blocked, type Sight, type Told } from './sight.ts';
import { every } from '../jobs/periodic.ts';

export interface Pair {
  readonly viewer: string;
  readonly user: string;
}

export interface WatchingOptions<W extends object> {
  readonly maxWatched: number;
  /** Who looks through this watcher. */
  viewerOf(watcher: W): string | undefined;
  /** What the viewers may learn of the users: one answer for each pair, in order. */
  sights(pairs: readonly Pair[]): Promise<Sight[]>;
  /** A change that watchers are to be told. */
  tell(watchers: ReadonlySet<W>, user: string, told: Told): void;
  /** The viewer may not see the user any more; the watch has ended. */
  ended(watcher: W, user: string): void;
  fault(error: unknown): void;
  /** Whether memberships are known to be recent enough; if not, changes wait. */
  mayTell(): boolean;
}

const sweepMs = 250;
/** Users looked up again at once before they are told offline. */
const maxDue = 1000;
/** A round over all pairs begins this long after the one before began. */
const roundMs = 30_000;
/** Pairs in one query (20 ms of Postgres's time), of which there is one a sweep at most: 2,000 pairs a second. */
const pairsAQuery = 500;
/** A round of comparing what watchers know with what is so begins this long after the one before began. */
const compareMs = 5000;
/** Users in one comparison (a millisecond of Redis), of which there is one a sweep at most: 2,000 users a second. */
const compared = 500;

interface WatchedBy<W> {
  readonly watcher: W;
  readonly user: string;
}

interface Entry<W> {
  readonly watchers: Set<W>;
  /** What all its watchers were told; undefined until it is read. */
  told: Told | undefined;
  /** Grows with each change that is heard, so that a reader knows whether what it read may be old. */
  changes: number;
  /** They are gone, which is told at that moment of the process's life unless they come back. */
  leaving: Leaving | undefined;
}

interface Leaving {
  readonly at: number;
  readonly lastSeen: number | undefined;
  /** No change said so; they only were not there when presence was read. */
  readonly doubted: boolean;
}

/**
 * Who watches whom on this node, and what watchers know. All watchers of a user are told the same at the same moments.
 *
 * of a user: (first watcher) unread → read → online ⇄ offline. online → (gone) leaving → (back within 5 s) online, silently;
 * or offline, told, once a second look has confirmed it. No watcher left: forgotten.
 *
 * Changes may be lost, and so may what presence keeps. Therefore what watchers know is compared with presence in rounds. A user
 * who is missing there, and of whom no change said so, is doubted: the nodes are asked, and 5 s later presence once more.
 *
 * A watch is there before the answer is read, so no change falls between. What a watcher may see is asked before it begins,
 * again as soon as the viewer or the user leaves any room, and in rounds: a watch ends at most 30 s after the last shared
 * room is gone (with more than 60,000 watched pairs on the node: in proportion). From the moment that one of them leaves a
 * room until the answer, changes of the pair wait.
 *
 * Of a pair: seen ⇄ (the user blocks the viewer, or lifts the block) blocked (blocked-watches.ts) → (no shared room) ended.
 */
export class Watching<W extends object> implements PresenceListener {
  readonly #options: WatchingOptions<W>;
  readonly #entries = new Map<string, Entry<W>>();
  readonly #watched = new Map<W, Set<string>>();
  readonly #leaving = new Set<string>();
  readonly #blocked = new BlockedWatches<W>();
  /** Users who left a room: their pairs are to be looked at. */
  readonly #suspects = new Set<string>();
  /** Users whose pairs are being looked at. */
  readonly #underCheck = new Set<string>();
  /** Pairs with a change that waits for the answer. */
  readonly #unsent = new Map<W, Set<string>>();
  readonly #timer: NodeJS.Timeout;
  #presence: Presence | undefined = undefined;
  #urgent: WatchedBy<W>[] = [];
  #round: WatchedBy<W>[] = [];
  #roundBegan = performance.now();
  #uncompared: string[] = [];
  #compareBegan = performance.now();
  #comparing = false;
  #confirming = false;
  #checking = false;
  #departures = 0;
  #pairs = 0;

  constructor(options: WatchingOptions<W>) {
    this.#options = options;
    this.#timer = every(() => this.#sweep(performance.now()), sweepMs);
  }

  /** Presence tells this one its changes, so it is made after it. */
  start(presence: Presence): void {
    this.#presence = presence;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Watched users, summed over watchers. */
  get pairs(): number {
    return this.#pairs;
  }

  /** What the viewer may see of the users, as it is now. */
  async get(viewer: string, users: readonly string[]): Promise<Map<string, Told>> {
    const sights = await this.#sightsOf(viewer, users);
    const read = [...sights.keys()];
    const standings = await this.#read(read);
    return new Map(
      read.map((user, i) => [
        user,
        this.#blockedTold(sights.get(user)) ??
          this.#entries.get(user)?.told ??
          toldOf(standings[i] ?? { online: false }),
      ]),
    );
  }

  /** The same, and from now on the changes. @throws {ParleyError} `limit_reached`, and nothing has begun. */
  async watch(watcher: W, users: readonly string[]): Promise<Map<string, Told>> {
    this.#requireSpace(watcher, users);
    const viewer = this.#options.viewerOf(watcher);
    const departures = this.#departures;
    const sights = viewer === undefined ? new Map<string, Sight>() : await this.#sightsOf(viewer, users);
    const watched = [...sights.keys()];
    // it may have ended or be somebody else's by now, or there were other watches meanwhile
    if (viewer === undefined || this.#options.viewerOf(watcher) !== viewer) throw new ParleyError('unavailable');
    this.#requireSpace(watcher, watched);
    for (const [user, sight] of sights) {
      this.#add(watcher, user);
      if (typeof sight === 'object') this.#block(watcher, user, sight, sight.agoMs < graceMs);
      else this.#unblock(watcher, user);
    }
    if (departures !== this.#departures) this.#suspects.add(viewer);
    await this.#load(watched);
    return new Map(
      watched.map((user) => [
        user,
        this.#blockedTold(sights.get(user)) ?? this.#entries.get(user)?.told ?? { online: false },
      ]),
    );
  }

  /** @param users all of them, if undefined. */
  unwatch(watcher: W, users?: readonly string[]): void {
    for (const user of users ?? [...(this.#watched.get(watcher) ?? [])]) this.#remove(watcher, user);
  }

  /** The user left a room; they may see others no more, and be seen no more. */
  departed(user: string): void {
    this.#departures++;
    if (this.#pairs > 0) this.#suspects.add(user);
  }

  changed(changes: readonly Change[]): void {
    for (const { user, ...standing } of changes) {
      const entry = this.#entries.get(user);
      if (entry === undefined) continue;
      entry.changes++;
      if (entry.told !== undefined) this.#apply(user, entry, standing);
    }
  }

  reset(): void {
    this.#compareBegan = -Infinity;
    this.#uncompared = [];
  }

  /** Those of the users of whom the viewer may learn anything. */
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

  #blockedTold(sight: Sight | undefined): Told | undefined {
    if (typeof sight !== 'object') return undefined;
    return toldOf(blockedStanding(sight, this.#presence?.rememberedMs ?? 0));
  }

  #block(watcher: W, user: string, sight: Blocked, knowsOnline: boolean): void {
    const remembered = this.#presence?.rememberedMs ?? 0;
    if (!this.#blocked.add(watcher, user, sight, knowsOnline, remembered)) return;
    this.#entries.get(user)?.watchers.delete(watcher);
    this.#forgetUnsent(watcher, user);
  }

  /** @returns what the watcher takes the user for; undefined: the user had not blocked them. */
  #unblock(watcher: W, user: string): 'online' | 'offline' | undefined {
    const known = this.#blocked.remove(watcher, user);
    if (known !== undefined) this.#entries.get(user)?.watchers.add(watcher);
    return known;
  }

  #tellBlocked(watcher: W, user: string, told: Told): boolean {
    const isSuspect = this.#isSuspect(user) || this.#isSuspect(this.#options.viewerOf(watcher) ?? '');
    if (isSuspect || !this.#options.mayTell()) return false;
    this.#options.tell(new Set([watcher]), user, told);
    return true;
  }

  #requireSpace(watcher: W, users: readonly string[]): void {
    const present = this.#watched.get(watcher);
    const more = new Set(users.filter((user) => present?.has(user) !== true)).size;
    if ((present?.size ?? 0) + more <= this.#options.maxWatched) return;
    throw new ParleyError('limit_reached', `A connection may watch ${this.#options.maxWatched} users.`);
  }

  #read(users: readonly string[]): Promise<Standing[]> {
    if (this.#presence === undefined || users.length === 0) return Promise.resolve([]);
    return this.#presence.read(users);
  }

  /** Reads until no change came while it was read; three times at most, the next change puts right what is left. */
  async #load(users: readonly string[]): Promise<void> {
    let wanted = users.filter((user) => this.#entries.get(user)?.told === undefined);
    for (let round = 0; wanted.length > 0 && round < 3; round++) {
      const before = wanted.map((user) => this.#entries.get(user)?.changes);
      const standings = await this.#read(wanted);
      wanted = wanted.filter((user, i) => {
        const entry = this.#entries.get(user);
        const standing = standings[i];
        if (entry === undefined || standing === undefined) return false;
        this.#apply(user, entry, standing);
        return entry.changes !== before[i];
      });
    }
  }

  #apply(user: string, entry: Entry<W>, standing: Standing, doubted = false): void {
    const { online, lastSeen, agoMs } = standing;
    const waitMs = agoMs === undefined ? 0 : Math.max(0, graceMs - agoMs);
    if (online) {
      this.#stays(user, entry);
      if (entry.told?.online !== true) this.#tell(user, entry, { online: true });
    } else if (entry.told === undefined && waitMs === 0) {
      entry.told = toldOf(standing);
    } else if (entry.told?.online === false) {
      if (lastSeen !== undefined) entry.told.lastSeen = lastSeen;
    } else {
      entry.told ??= { online: true };
      if (entry.leaving !== undefined && (doubted || !entry.leaving.doubted)) return;
      entry.leaving = { at: performance.now() + waitMs, lastSeen, doubted };
      this.#leaving.add(user);
    }
  }

  #stays(user: string, entry: Entry<W>): void {
    entry.leaving = undefined;
    this.#leaving.delete(user);
  }

  /** The first answer is told by whoever asked. */
  #tell(user: string, entry: Entry<W>, told: Told): void {
    const first = entry.told === undefined;
    entry.told = told;
    if (first || entry.watchers.size === 0) return;
    const isSettled = this.#suspects.size === 0 && this.#underCheck.size === 0;
    if (isSettled && this.#options.mayTell()) return this.#options.tell(entry.watchers, user, told);
    this.#tellUnsuspected(user, entry, told);
  }

  /** A pair that may have ended is looked at first. */
  #tellUnsuspected(user: string, { watchers }: Entry<W>, told: Told): void {
    const certain = new Set<W>();
    const mayTell = this.#options.mayTell();
    for (const watcher of watchers) {
      if (mayTell && !this.#isSuspect(user) && !this.#isSuspect(this.#options.viewerOf(watcher) ?? '')) {
        certain.add(watcher);
        continue;
      }
      this.#hold(watcher, user);
      // also where the pair was looked at a moment ago
      this.#suspects.add(user);
    }
    if (certain.size > 0) this.#options.tell(certain, user, told);
  }

  #isSuspect(user: string): boolean {
    return this.#suspects.has(user) || this.#underCheck.has(user);
  }

  /** The watcher could see the user a moment ago: what waited goes out, as it is now, or waits for another answer. */
  #tellUnsent(watcher: W, user: string): void {
    const unsent = this.#unsent.get(watcher);
    if (unsent?.has(user) !== true) return;
    const isAgain = this.#suspects.has(user) || this.#suspects.has(this.#options.viewerOf(watcher) ?? '');
    if (isAgain || !this.#options.mayTell()) {
      this.#suspects.add(user);
      return;
    }
    this.#forgetUnsent(watcher, user);
    const told = this.#entries.get(user)?.told;
    if (told !== undefined) this.#options.tell(new Set([watcher]), user, told);
  }

  /** What the watcher got last: a change that waits is the other way round. */
  #knowsOnline(watcher: W, user: string): boolean {
    const isOnline = this.#entries.get(user)?.told?.online === true;
    return this.#unsent.get(watcher)?.has(user) === true ? !isOnline : isOnline;
  }

  /** A block was lifted: the watcher gets what has changed since the watcher got something. */
  #tellUnblocked(watcher: W, user: string): void {
    const known = this.#unblock(watcher, user);
    if (known === undefined) return;
    const isOnline = this.#entries.get(user)?.told?.online === true;
    if (isOnline !== (known === 'online')) this.#hold(watcher, user);
  }

  #hold(watcher: W, user: string): void {
    let unsent = this.#unsent.get(watcher);
    if (unsent === undefined) this.#unsent.set(watcher, (unsent = new Set()));
    unsent.add(user);
  }

  #forgetUnsent(watcher: W, user: string): void {
    const unsent = this.#unsent.get(watcher);
    if (unsent?.delete(user) === true && unsent.size === 0) this.#unsent.delete(watcher);
  }

  #add(watcher: W, user: string): void {
    let entry = this.#entries.get(user);
    if (entry === undefined) {
      entry = { watchers: new Set(), told: undefined, changes: 0, leaving: undefined };
      this.#entries.set(user, entry);
    }
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
    this.#forgetUnsent(watcher, user);
    const entry = this.#entries.get(user);
    entry?.watchers.delete(watcher);
    this.#blocked.remove(watcher, user);
    if (entry?.watchers.size !== 0 || this.#blocked.has(user)) return;
    this.#entries.delete(user);
    this.#leaving.delete(user);
  }

  #sweep(now: number): void {
    this.#blocked.tellDue(now, (watcher, user, told) => this.#tellBlocked(watcher, user, told));
    if (!this.#confirming && this.#leaving.size > 0) {
      const due = [...this.#leaving].filter((user) => (this.#entries.get(user)?.leaving?.at ?? 0) <= now);
      if (due.length > 0) void this.#confirm(due.slice(0, maxDue));
    }
    if (!this.#comparing && this.#entries.size > 0) {
      const users = this.#nextCompared(now);
      if (users.length > 0) void this.#compare(users);
    }
    if (!this.#checking && this.#pairs > 0) {
      const pairs = this.#nextPairs(now);
      if (pairs.length > 0) void this.#check(pairs);
    }
  }

  /** A message that says that they are back may have been lost, so it is looked up before it is told. */
  async #confirm(users: readonly string[]): Promise<void> {
    this.#confirming = true;
    try {
      const before = users.map((user) => this.#entries.get(user)?.leaving);
      const checked = await this.#presence?.check(users);
      const standings = checked ?? (await this.#read(users));
      users.forEach((user, i) => {
        const entry = this.#entries.get(user);
        const leaving = before[i];
        if (entry === undefined || leaving === undefined || entry.leaving !== leaving) return;
        this.#stays(user, entry);
        // other nodes cannot be asked, and nobody said that the user is gone
        if (leaving.doubted && checked === undefined) return;
        const { online, lastSeen = leaving.lastSeen } = standings[i] ?? { online: false };
        if (!online) this.#tell(user, entry, toldOf(lastSeen === undefined ? { online } : { online, lastSeen }));
      });
    } catch (error) {
      this.#options.fault(error);
    } finally {
      this.#confirming = false;
    }
  }

  #nextCompared(now: number): string[] {
    if (this.#uncompared.length === 0 && now - this.#compareBegan >= compareMs) {
      this.#compareBegan = now;
      this.#uncompared = [...this.#entries.keys()];
    }
    return this.#uncompared.splice(-compared);
  }

  /** What came as a change while presence was read is newer. A user who only is missing there has 5 s to be back. */
  async #compare(users: readonly string[]): Promise<void> {
    this.#comparing = true;
    try {
      const before = users.map((user) => this.#entries.get(user)?.changes);
      const standings = await this.#presence?.check(users);
      const missing = users.filter((user, i) => {
        const entry = this.#entries.get(user);
        const standing = standings?.[i];
        if (standing === undefined || entry?.told === undefined || entry.changes !== before[i]) return false;
        this.#apply(user, entry, { ...standing, agoMs: 0 }, true);
        return entry.leaving?.doubted === true;
      });
      if (missing.length > 0) this.#presence?.doubt(missing);
    } catch (error) {
      this.#options.fault(error);
    } finally {
      this.#comparing = false;
    }
  }

  /** Those of users who left a room first; else the next of the round. */
  #nextPairs(now: number): WatchedBy<W>[] {
    this.#gatherSuspects();
    if (this.#urgent.length > 0) return this.#urgent.splice(-pairsAQuery);
    this.#underCheck.clear();
    if (this.#round.length === 0 && now - this.#roundBegan >= roundMs) {
      this.#roundBegan = now;
      for (const [watcher, users] of this.#watched) for (const user of users) this.#round.push({ watcher, user });
    }
    return this.#round.splice(-pairsAQuery);
  }

  /** What they watch, and who watches them. At most all pairs of the node. */
  #gatherSuspects(): void {
    if (this.#suspects.size === 0 || this.#urgent.length > 0) return;
    for (const user of this.#suspects) {
      const watchers = this.#entries.get(user)?.watchers ?? [];
      for (const watcher of [...watchers, ...this.#blocked.watchersOf(user)]) this.#urgent.push({ watcher, user });
    }
    for (const [watcher, users] of this.#watched) {
      if (!this.#suspects.has(this.#options.viewerOf(watcher) ?? '')) continue;
      for (const user of users) this.#urgent.push({ watcher, user });
    }
    for (const user of this.#suspects) this.#underCheck.add(user);
    this.#suspects.clear();
  }

  async #check(pairs: readonly WatchedBy<W>[]): Promise<void> {
    this.#checking = true;
    try {
      const asked = pairs.map(({ watcher, user }) => ({ viewer: this.#options.viewerOf(watcher) ?? '', user }));
      const sights = await this.#options.sights(asked);
      pairs.forEach(({ watcher, user }, i) => {
        if (this.#watched.get(watcher)?.has(user) !== true) return;
        const sight = sights[i] ?? 'none';
        if (typeof sight === 'object') {
          return this.#block(watcher, user, sight, this.#knowsOnline(watcher, user));
        }
        if (sight === 'seen') {
          this.#tellUnblocked(watcher, user);
          return this.#tellUnsent(watcher, user);
        }
        this.#remove(watcher, user);
        this.#options.ended(watcher, user);
      });
      if (this.#urgent.length === 0) this.#underCheck.clear();
    } catch (error) {
      // the database is away, so nobody can leave a room either; the next sweep asks again
      this.#urgent.push(...pairs);
      this.#options.fault(error);
    } finally {
      this.#checking = false;
    }
  }
}
