/**
 * A queue of keys with work to do. Each key waits once, in order of arrival. At most `limit` keys run at once, and a key
 * never runs twice at once.
 *
 * States of a key: *waiting*; then *running*, when a place is free and the queue is not paused; then gone. A key that is
 * added while it runs waits again.
 */
export class WorkQueue {
  readonly #limit: number;
  #work: ((key: string) => Promise<void>) | undefined = undefined;
  readonly #waiting = new Set<string>();
  readonly #running = new Set<string>();
  #paused = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Keys wait until this call. @param work must not reject */
  start(work: (key: string) => Promise<void>): void {
    this.#work = work;
    this.#start();
  }

  get size(): number {
    return this.#waiting.size + this.#running.size;
  }

  add(key: string): void {
    this.#waiting.add(key);
    this.#start();
  }

  /** The key no longer waits. Work that runs goes on to its end. */
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
    const work = this.#work;
    if (this.#paused || work === undefined) return;
    for (const key of this.#waiting) {
      if (this.#running.size >= this.#limit) return;
      if (this.#running.has(key)) continue;
      this.#waiting.delete(key);
      this.#running.add(key);
      void work(key).finally(() => {
        this.#running.delete(key);
        this.#start();
      });
    }
  }
}
