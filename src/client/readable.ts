/** The smallest observable value, for frameworks of every kind. */
export interface Readable<T> {
  readonly value: T;
  /**
   * Calls the listener on each later change, not with the present value. Returns a function that removes the listener.
   */
  subscribe(listener: (value: T) => void): () => void;
}

/**
 * Calls all listeners. An error of one listener stops neither the others nor the client; it is thrown again from a
 * timer.
 */
export function notify<A extends unknown[]>(listeners: Iterable<(...args: A) => void>, ...args: A): void {
  // A copy, because a listener may subscribe or unsubscribe during the call.
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

  /**
   * @param watched is called with the first listener; the function that it returns is called after the last one is
   *   removed
   */
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
    notify(this.#listeners, value);
  }

  subscribe(listener: (value: T) => void): () => void {
    // Each call adds its own listener: the same function may be given twice.
    const own = (value: T): void => listener(value);
    this.#listeners.add(own);
    if (this.#listeners.size === 1) this.#unwatch = this.#watched?.();
    return () => {
      if (this.#listeners.delete(own) && this.#listeners.size === 0) this.#unwatch?.();
    };
  }
}
