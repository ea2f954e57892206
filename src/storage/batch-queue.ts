/**
 * What waits for a batch. Items leave in the order in which they came for as long as all of them fit in the next batch. When
 * more wait, senders take turns: each batch has one item of each sender before the second of any, and whoever was left out
 * is first in the next batch. Items of one sender keep their order.
 */
export class BatchQueue<T> {
  readonly #senderOf: ((item: T) => string) | undefined;
  /** In order of arrival, behind all that is in `#lines`. */
  #arrived: T[] = [];
  /** Empty unless more waited than fits in a batch: what is left of each sender, in the order of their turns. */
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
    // a sender who is set again comes up again in the same loop, behind the others
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
