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
