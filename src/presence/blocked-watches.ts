/**
 * Watches whose viewer was blocked by the user. Such a watcher gets no change of the user, except once: 5 s after
 * the block, the user goes offline (sight.ts).
 */
import { systemClock, type Clock } from '../jobs/clock.ts';
import { graceMs, presenceOfBlocker, type Blocked, type VisiblePresence } from './sight.ts';

interface BlockedWatch {
  readonly presence: VisiblePresence;
  /** When the absence is due, as a moment of the process's life: 5 s after the block. */
  readonly due: number;
  /** When the watcher gets the absence, as a moment of the process's life; undefined: the watcher knows of it. */
  at: number | undefined;
}

export class BlockedWatches<W extends object> {
  readonly #users = new Map<string, Map<W, BlockedWatch>>();
  /** Users with a watcher that has yet to get the absence. */
  readonly #waiting = new Set<string>();
  readonly #clock: Clock;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  has(user: string): boolean {
    return this.#users.has(user);
  }

  watchersOf(user: string): Iterable<W> {
    return this.#users.get(user)?.keys() ?? [];
  }

  /**
   * @param knowsOnline the last presence that the watcher got is online, so the watcher gets the absence
   * @param rememberedMs for how long presence keeps the moment at which a user was there last
   * @returns false if it was blocked before
   */
  add(watcher: W, user: string, sight: Blocked, knowsOnline: boolean, rememberedMs: number): boolean {
    let watches = this.#users.get(user);
    if (watches?.has(watcher) === true) return false;
    if (watches === undefined) this.#users.set(user, (watches = new Map()));
    const { lastSeen } = presenceOfBlocker(sight, rememberedMs);
    const presence = lastSeen === undefined ? { online: false } : { online: false, lastSeen };
    const due = this.#clock.now() + graceMs - sight.agoMs;
    watches.set(watcher, { presence, due, at: knowsOnline ? due : undefined });
    if (knowsOnline) this.#waiting.add(user);
    return true;
  }

  /** @returns the presence for an answer, which the watcher has from then on; undefined: the watch is none of these. */
  answer(watcher: W, user: string): VisiblePresence | undefined {
    const watch = this.#users.get(user)?.get(watcher);
    if (watch === undefined) return undefined;
    const online = this.#clock.now() < watch.due;
    watch.at = online ? watch.due : undefined;
    if (online) this.#waiting.add(user);
    return online ? { online } : watch.presence;
  }

  /** @returns the last presence that the watcher got; undefined: the watch is none of these. */
  remove(watcher: W, user: string): VisiblePresence | undefined {
    const watches = this.#users.get(user);
    const watch = watches?.get(watcher);
    if (watches === undefined || watch === undefined) return undefined;
    watches.delete(watcher);
    if (watches.size === 0) {
      this.#users.delete(user);
      this.#waiting.delete(user);
    }
    return watch.at === undefined ? watch.presence : { online: true };
  }

  /** @param send returns false for a watcher that must not get anything yet. */
  sendDue(now: number, send: (watcher: W, user: string, presence: VisiblePresence) => boolean): void {
    for (const user of this.#waiting) {
      let waits = false;
      for (const [watcher, watch] of this.#users.get(user) ?? []) {
        if (watch.at === undefined) continue;
        if (watch.at <= now && send(watcher, user, watch.presence)) watch.at = undefined;
        else waits = true;
      }
      if (!waits) this.#waiting.delete(user);
    }
  }
}
