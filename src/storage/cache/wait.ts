/** An invalidation that waits for the acknowledgements of nodes, which may come before the answer of Redis names the nodes. */
export class Wait {
  readonly done: Promise<void>;
  readonly #acked: Set<string>;
  #missing: Set<string> | undefined = undefined;
  #settle: () => void = () => {};

  constructor(self: string) {
    this.#acked = new Set([self]);
    this.done = new Promise((resolve) => (this.#settle = resolve));
  }

  for(nodes: readonly string[]): void {
    this.#missing = new Set(nodes.filter((node) => !this.#acked.has(node)));
    if (this.#missing.size === 0) this.#settle();
  }

  acked(from: string): void {
    this.#acked.add(from);
    this.#missing?.delete(from);
    if (this.#missing?.size === 0) this.#settle();
  }
}
