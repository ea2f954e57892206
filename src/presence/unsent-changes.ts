/** Pairs of a watcher and a user with a change that waits for a check of the pair. */
export class UnsentChanges<W extends object> {
  readonly #users = new Map<W, Set<string>>();

  has(watcher: W, user: string): boolean {
    return this.#users.get(watcher)?.has(user) === true;
  }

  add(watcher: W, user: string): void {
    let users = this.#users.get(watcher);
    if (users === undefined) this.#users.set(watcher, (users = new Set()));
    users.add(user);
  }

  delete(watcher: W, user: string): void {
    const users = this.#users.get(watcher);
    if (users?.delete(user) === true && users.size === 0) this.#users.delete(watcher);
  }
}
