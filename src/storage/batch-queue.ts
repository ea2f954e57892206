/**
 * The items that wait for a batch. Items leave in the order in which they came while all of them fit in the next batch. If
 * more wait, senders take turns: each batch has one item of each sender before a second of any sender. A sender without an
 * item in this batch is first in the next one. Items of one sender keep their order.
 */
export class BatchQueue<T> {
  readonly #senderOf: ((item: T) => string) | undefined;
  /** In the order in which they came, behind all items in `#lines`. */
  #arrived: T[] = [];
  /** The remaining items of each sender, in the order of turns. Empty unless more items waited than fit in a batch. */
  readonly #lines = new Map<string, T[]>();
  #inLines = 0;

  /** @param senderOf absent: the order is always that of arrival */
  constructor(senderOf?: (item: T) => string) {
    this.#senderOf = senderOf;
  }

  get length(): number {
    return this.#inLines + this.#arrived.length;
  }

  push(item: T): void {
    this.#arrived.push(item);
  }

  /** Removes the next batch. */
  take(most: number): T[] {
    if (this.#inLines === 0 && this.#arrived.length <= most) return this.#takeArrived();
    const senderOf = this.#senderOf;
    if (senderOf === undefined) return this.#arrived.splice(0, most);
    for (const item of this.#takeArrived()) {
      const sender = senderOf(item);
      const line = this.#lines.get(sender);
      if (line === undefined) this.#lines.set(sender, [item]);
      else line.push(item);
      this.#inLines++;
    }
    const batch: T[] = [];
    // a sender that is set again has another turn in the same loop, behind the others
    for (const [sender, line] of this.#lines) {
      if (batch.length >= most) break;
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
    return arrived;
  }
}
