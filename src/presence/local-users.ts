/** How many connections each user has on this node. */
export class LocalUsers {
  readonly #counts = new Map<string, number>();

  /** @returns whether it is the user's first. */
  add(user: string): boolean {
    const count = this.#counts.get(user) ?? 0;
    this.#counts.set(user, count + 1);
    return count === 0;
  }

  /** @returns whether it was the user's last. */
  remove(user: string): boolean {
    const count = this.#counts.get(user) ?? 0;
    if (count > 1) this.#counts.set(user, count - 1);
    else this.#counts.delete(user);
    return count === 1;
  }

  has(user: string): boolean {
    return this.#counts.has(user);
  }

  all(): IterableIterator<string> {
    return this.#counts.keys();
  }

  clear(): void {
    this.#counts.clear();
  }

  get size(): number {
    return this.#counts.size;
  }
}
