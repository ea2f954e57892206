/**
 * Keys that want work, each once, in the order in which they came; of one key never two at once, of all at most `limit`.
 * A key that is added while its work runs gets its turn afterwards.
 */
export class WorkQueue {
  readonly #limit: number;
  readonly #work: (key: string) => Promise<void>;
  readonly #waiting = new Set<string>();
  readonly #running = new Set<string>();
  #paused = false;

  /** @param work must not reject. */
  constructor(limit: number, work: (key: string) => Promise<void>) {
    this.#limit = limit;
    this.#work = work;
  }

  get size(): number {
    return this.#waiting.size + this.#running.size;
  }

  add(key: string): void {
    this.#waiting.add(key);
    this.#start();
  }

  /** What runs goes on to its end. */
  remove(key: string): void {
    this.#waiting.delete(key);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#start();
  }

  #start(): void {
    if (this.#paused) return;
    for (const key of this.#waiting) {
      if (this.#running.size >= this.#limit) return;
      if (this.#running.has(key)) continue;
      this.#waiting.delete(key);
      this.#running.add(key);
      void this.#work(key).finally(() => {
        this.#running.delete(key);
        this.#start();
      });
    }
  }
}
