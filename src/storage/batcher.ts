import { setImmediate as nextTurn } from 'node:timers/promises';
import { ParleyError } from '../protocol/errors.ts';
import { BatchQueue, type Queued } from './batch-queue.ts';

/** One answer an item, in their order. An Error is the answer to that item alone. */
export type Run<I, O> = (items: I[]) => Promise<(O | Error)[]>;

interface Waiting<I, O> extends Queued {
  readonly item: I;
  /** The sender whose share has the place of the item. */
  readonly sharer: string | undefined;
  readonly resolve: (output: O) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Places for waiting items. Several batchers may share them, so that one limit holds for all of their items.
 *
 * Half of the places are for the first that come. Senders share the other half: a sender may have as many of these as are
 * free. One sender gets half of the second half, two get a third of it each, and so on. So a sender without any finds a free
 * place, and a sender that sends more than the others is refused before them.
 */
export class Places {
  readonly max: number;
  #taken = 0;
  /** Places in the second half, by sender. */
  readonly #bySender = new Map<string, number>();

  constructor(max: number) {
    this.max = max;
  }

  /** Whether the first half is taken, so that senders share the rest. */
  get crowded(): boolean {
    return this.#taken >= this.max / 2;
  }

  /** Whether at most a tenth of the places is free, so that many senders are refused. */
  get full(): boolean {
    return this.#taken >= this.max * 0.9;
  }

  /** Whether every place, or the share of the sender, is taken. */
  refuses(sender: string | undefined): boolean {
    const own = sender === undefined ? 0 : (this.#bySender.get(sender) ?? 0);
    return own >= this.max - this.#taken;
  }

  /** @param sender undefined in the first half, or if senders share nothing @returns false: as `refuses` */
  take(sender: string | undefined): boolean {
    if (this.refuses(sender)) return false;
    this.#taken++;
    if (sender !== undefined) this.#bySender.set(sender, (this.#bySender.get(sender) ?? 0) + 1);
    return true;
  }

  /** @param sender the one that took the place */
  free(sender: string | undefined): void {
    this.#taken--;
    if (sender === undefined) return;
    const own = this.#bySender.get(sender) ?? 0;
    if (own > 1) this.#bySender.set(sender, own - 1);
    else this.#bySender.delete(sender);
  }
}

export interface BatchLimits<I> {
  readonly maxBatch: number;
  /** Number of items that may wait, or places that several batchers share. */
  readonly maxWaiting: number | Places;
  /** Senders share the places, and take turns if more items wait than fit in a batch. Absent: the order is that of arrival. */
  readonly senderOf?: (item: I) => string;
  /** The size of an item, and of a batch. Absent: only the number of items counts. */
  readonly sizeOf?: (item: I) => number;
  readonly maxBatchSize?: number;
}

/**
 * Gathers items while one call is under way, and makes the next call of all gathered items (group commit). No item waits
 * while no call is under way: a lone item is a batch of one, at once.
 *
 * idle → (add) → running → (answered, more waiting) → running → (answered, none waiting) → idle.
 * If a call fails as a whole, all waiting items fail with it: their database is unavailable, and each would fail later.
 */
export class Batcher<I, O> {
  readonly #run: Run<I, O>;
  readonly #maxBatch: number;
  readonly #maxBatchSize: number;
  readonly #places: Places;
  readonly #senderOf: (item: I) => string | undefined;
  readonly #sizeOf: (item: I) => number;
  readonly #waiting = new BatchQueue<Waiting<I, O>>();
  #running = false;
  #idle: (() => void)[] = [];

  constructor(run: Run<I, O>, { maxBatch, maxWaiting, senderOf, sizeOf, maxBatchSize }: BatchLimits<I>) {
    this.#run = run;
    this.#maxBatch = maxBatch;
    this.#maxBatchSize = maxBatchSize ?? Infinity;
    this.#places = typeof maxWaiting === 'number' ? new Places(maxWaiting) : maxWaiting;
    this.#senderOf = senderOf ?? ((): undefined => undefined);
    this.#sizeOf = sizeOf ?? ((): number => 0);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** As `Places.crowded`. */
  get crowded(): boolean {
    return this.#places.crowded;
  }

  /** As `Places.full`. */
  get full(): boolean {
    return this.#places.full;
  }

  /** As `Places.refuses`. */
  refuses(sender: string): boolean {
    return this.#places.refuses(sender);
  }

  /** @throws {ParleyError} `overloaded` if every place, or the share of the sender, is taken */
  add(item: I): Promise<O> {
    const sender = this.#senderOf(item);
    const sharer = this.#places.crowded ? sender : undefined;
    if (!this.#places.take(sharer)) {
      return Promise.reject(new ParleyError('overloaded', undefined, { retryAfter: 1000 }));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, sender, sharer, size: this.#sizeOf(item), resolve, reject });
      if (!this.#running) void this.#drain();
    });
  }

  /** Resolves when everything that was added has been answered. */
  flush(): Promise<void> {
    if (!this.#running) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  async #drain(): Promise<void> {
    this.#running = true;
    // The items of one turn of the event loop travel together.
    await nextTurn();
    while (this.#waiting.length > 0) {
      const batch = this.#take();
      try {
        const outputs = await this.#run(batch.map((entry) => entry.item));
        batch.forEach((entry, i) => {
          const output = outputs[i];
          if (output instanceof Error) entry.reject(output);
          else entry.resolve(output as O);
        });
      } catch (error) {
        const reason = error instanceof Error ? error : new Error(String(error));
        const others = this.#waiting.clear();
        this.#free(others);
        for (const entry of batch.concat(others)) entry.reject(reason);
      }
    }
    this.#running = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #take(): Waiting<I, O>[] {
    const batch = this.#waiting.take(this.#maxBatch, this.#maxBatchSize);
    this.#free(batch);
    return batch;
  }

  #free(entries: readonly Waiting<I, O>[]): void {
    for (const { sharer } of entries) this.#places.free(sharer);
  }
}
