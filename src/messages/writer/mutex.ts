/** Work that takes turns, first come, first served: a room's sends and its changes share a stripe of the writer. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs the work after the work before it has ended, also where that failed. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    // the next work must not see the failure of this one
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/**
 * Runs the work in the turns of all of these, which each caller names in one order. The first turn is held while the others
 * come, so that two callers do not wait for each other.
 */
export function takeAll<T>(mutexes: readonly Mutex[], work: () => Promise<T>): Promise<T> {
  const [first, ...others] = mutexes;
  return first === undefined ? work() : first.take(() => takeAll(others, work));
}
