/**
 * The values that clients got last, for keys that changed lately: the role and mute of a membership, the settings of a
 * room. A node does not keep these for every membership and room: that would cost memory, and Postgres decides anyway. A
 * reconciler reads mostly changes that fan-out has delivered, and this cache shows which of them are new.
 *
 * The cache is bounded and drops its oldest key. Clients may get the value of a dropped key a second time.
 */
export class VersionCache {
  readonly #max: number;
  readonly #values = new Map<string, string>();

  constructor(max = 10_000) {
    this.#max = max;
  }

  /** Records the value. @returns whether the key had the same value before */
  note(key: string, value: string): boolean {
    const before = this.#values.get(key);
    this.#values.delete(key);
    this.#values.set(key, value);
    if (this.#values.size > this.#max) {
      const [oldest = ''] = this.#values.keys();
      this.#values.delete(oldest);
    }
    return before === value;
  }

  clear(): void {
    this.#values.clear();
  }

  is(key: string, value: string): boolean {
    return this.#values.get(key) === value;
  }
}
