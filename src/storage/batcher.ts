import { setImmediate as nextTurn } from 'node:timers/promises';
import { ParleyError } from '../protocol/errors.ts';
import { BatchQueue } from './batch-queue.ts';

/** One answer an item, in their order. An Error is the answer to that item alone. */
export type Run<I, O> = (items: I[]) => Promise<(O | Error)[]>;

interface Waiting<I, O> {
  readonly item: I;
  readonly resolve: (output: O) => void;
  readonly reject: (error: Error) => void;
}

/** Places for waiting items. Several batchers may share them, so that one limit holds for all of their items. */
export class Places {
  readonly max: number;
  #taken = 0;
  #full = false;

  constructor(max: number) {
    this.max = max;
  }

  /** True from the moment when every place is taken until a tenth of the places is free. */
  get full(): boolean {
    return this.#full;
  }

  /** @returns false: every place is taken. */
  take(): boolean {
    if (this.#taken >= this.max) {
      this.#full = true;
      return false;
    }
    this.#taken++;
    return true;
  }

  free(count: number): void {
    if (this.#taken < this.max * 0.9) this.#full = false;
    this.#taken -= count;
  }
}

export interface BatchLimits<I> {
  readonly maxBatch: number;
  /** Number of items that may wait, or places that several batchers share. */
  readonly maxWaiting: number | Places;
  /** Senders take turns if more items wait than fit in a batch. Absent: the order is that of arrival. */
  readonly senderOf?: (item: I) => string;
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
  readonly #places: Places;
  readonly #waiting: BatchQueue<Waiting<I, O>>;
  #running = false;
  #idle: (() => void)[] = [];

  constructor(run: Run<I, O>, { maxBatch, maxWaiting, senderOf }: BatchLimits<I>) {
    this.#run = run;
    this.#maxBatch = maxBatch;
    this.#places = typeof maxWaiting === 'number' ? new Places(maxWaiting) : maxWaiting;
    this.#waiting = new BatchQueue(senderOf === undefined ? undefined : ({ item }) => senderOf(item));
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** As `Places.full`. */
  get full(): boolean {
    return this.#places.full;
  }

  /** @throws {ParleyError} `overloaded` if every place is taken */
  add(item: I): Promise<O> {
    if (!this.#places.take()) return Promise.reject(new ParleyError('overloaded', undefined, { retryAfter: 1000 }));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
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
        this.#places.free(others.length);
        for (const entry of batch.concat(others)) entry.reject(reason);
      }
    }
    this.#running = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #take(): Waiting<I, O>[] {
    const batch = this.#waiting.take(this.#maxBatch);
    this.#places.free(batch.length);
    return batch;
  }
}
