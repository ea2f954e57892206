/** The smallest observable value: what frameworks of every kind can be fed from. */
export interface Store<T> {
  readonly value: T;
  /** Calls back on each later change, not with the present value. Returns what ends it. */
  subscribe(listener: (value: T) => void): () => void;
}

export class Cell<T> implements Store<T> {
  #value: T;
  readonly #listeners = new Set<(value: T) => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    // A copy, for a listener may subscribe or unsubscribe while it is told.
    for (const listener of Array.from(this.#listeners)) listener(value);
  }

  subscribe(listener: (value: T) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
