/** An item of a `BatchQueue`. */
export interface Queued {
  /** Undefined: all such items take turns as those of one sender. */
  readonly sender: string | undefined;
  /** The share of `mostSize` that the item takes. 0: only the number of items counts. */
  readonly size: number;
}

/**
 * The items that wait for a batch. Items leave in the order in which they came while all of them fit in the next batch, by
 * their number and by their size. If more wait, senders take turns: each batch has one item of each sender before a second of
 * any sender. A sender without an item in this batch is first in the next one. Items of one sender keep their order.
 */
export class BatchQueue<T extends Queued> {
  /** In the order in which they came, behind all items in `#lines`. */
  #arrived: T[] = [];
  #arrivedSize = 0;
  /** The remaining items of each sender, in the order of turns. Empty unless more items waited than fit in a batch. */
  readonly #lines = new Map<string | undefined, T[]>();
  #inLines = 0;

  get length(): number {
    return this.#inLines + this.#arrived.length;
  }

  push(item: T): void {
    this.#arrived.push(item);
    this.#arrivedSize += item.size;
  }

  /** Removes the next batch. An item that is larger than a batch may be is a batch of its own. */
  take(most: number, mostSize = Infinity): T[] {
    if (this.#inLines === 0 && this.#arrived.length <= most && this.#arrivedSize <= mostSize)
      return this.#takeArrived();
    for (const item of this.#takeArrived()) {
      const line = this.#lines.get(item.sender);
      if (line === undefined) this.#lines.set(item.sender, [item]);
      else line.push(item);
      this.#inLines++;
    }
    const batch: T[] = [];
    let size = 0;
    // a sender that is set again has another turn in the same loop, behind the others
    for (const [sender, line] of this.#lines) {
      size += (line[0] as T).size;
      if (batch.length >= most || (size > mostSize && batch.length > 0)) break;
      batch.push(line.shift() as T);
      this.#lines.delete(sender);
      if (line.length > 0) this.#lines.set(sender, line);
    }
    this.#inLines -= batch.length;
    return batch;
  }

  /** Removes everything. */
  clear(): T[] {
    return this.take(Infinity);
  }

  #takeArrived(): T[] {
    const arrived = this.#arrived;
    this.#arrived = [];
    this.#arrivedSize = 0;
    return arrived;
  }
}
