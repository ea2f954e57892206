import type { VisiblePresence } from './sight.ts';

/**
 * Pairs of a watcher and a user with a change that waits for a check of the pair. Each pair has the last presence that the
 * watcher got. Several changes may wait at once, and the last one may lead back to that presence.
 */
export class UnsentChanges<W extends object> {
  readonly #users = new Map<W, Map<string, VisiblePresence>>();

  get isEmpty(): boolean {
    return this.#users.size === 0;
  }

  /** @returns the last presence that the watcher got; undefined: no change waits, so the watcher has the present one. */
  lastSent(watcher: W, user: string): VisiblePresence | undefined {
    return this.#users.get(watcher)?.get(user);
  }

  /** @param lastSent of a pair without a waiting change; the first change that waits decides. */
  add(watcher: W, user: string, lastSent: VisiblePresence): void {
    let users = this.#users.get(watcher);
    if (users === undefined) this.#users.set(watcher, (users = new Map()));
    if (!users.has(user)) users.set(user, lastSent);
  }

  delete(watcher: W, user: string): void {
    const users = this.#users.get(watcher);
    if (users?.delete(user) === true && users.size === 0) this.#users.delete(watcher);
  }

  /** The pair waits no more. @returns whether the watcher has yet to get the presence */
  take(watcher: W, user: string, presence: VisiblePresence): boolean {
    const lastSent = this.lastSent(watcher, user);
    this.delete(watcher, user);
    return lastSent?.online !== presence.online || lastSent.lastSeen !== presence.lastSeen;
  }
}
