/** The smallest observable value: what frameworks of every kind can be fed from. */
export interface Readable<T> {
  readonly value: T;
  /** Calls back on each later change, not with the present value. Returns what ends it. */
  subscribe(listener: (value: T) => void): () => void;
}

/** Calls all of them. What one throws stops neither the others nor the client; it is thrown again where it stops nobody. */
export function tell<A extends unknown[]>(listeners: Iterable<(...args: A) => void>, ...args: A): void {
  // A copy, for a listener may subscribe or unsubscribe while it is told.
  for (const listener of Array.from(listeners)) {
    try {
      listener(...args);
    } catch (thrown) {
      setTimeout(() => {
        throw thrown;
      });
    }
  }
}

export class Cell<T> implements Readable<T> {
  #value: T;
  readonly #listeners = new Set<(value: T) => void>();
  readonly #watched: (() => () => void) | undefined;
  #unwatch: (() => void) | undefined;

  /** @param watched is called when the first listener comes; what it returns, when the last one has gone */
  constructor(value: T, watched?: () => () => void) {
    this.#value = value;
    this.#watched = watched;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    tell(this.#listeners, value);
  }

  subscribe(listener: (value: T) => void): () => void {
    // One of its own for each call: the same function may be given twice.
    const own = (value: T): void => listener(value);
    this.#listeners.add(own);
    if (this.#listeners.size === 1) this.#unwatch = this.#watched?.();
    return () => {
      if (this.#listeners.delete(own) && this.#listeners.size === 0) this.#unwatch?.();
    };
  }
}
