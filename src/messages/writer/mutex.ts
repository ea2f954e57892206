/** Work that takes turns, in the order of asking: a room's sends and its changes share a stripe of the writer. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve();

  /** When the one before is through, whether it failed or not. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    // who asks next must not be told of this one's failure
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
