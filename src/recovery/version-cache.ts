/**
 * What was told here last of things that changed lately: how a user stands in a room, what the settings of a room are. A
 * node does not keep either: they would cost memory for every membership and room, and Postgres decides. But what it reads
 * of changes in Postgres it has mostly been told before, and only what it has not is news.
 *
 * Bounded: the oldest is forgotten. Of what was forgotten clients may hear once more.
 */
export class VersionCache {
  readonly #max: number;
  readonly #told = new Map<string, string>();

  constructor(max = 10_000) {
    this.#max = max;
  }

  /** @returns whether it is what was told last. */
  note(key: string, value: string): boolean {
    const before = this.#told.get(key);
    this.#told.delete(key);
    this.#told.set(key, value);
    if (this.#told.size > this.#max) {
      const [oldest = ''] = this.#told.keys();
      this.#told.delete(oldest);
    }
    return before === value;
  }

  clear(): void {
    this.#told.clear();
  }

  is(key: string, value: string): boolean {
    return this.#told.get(key) === value;
  }
}
