/** The requests that send or read bytes of files at a time in this process, in total and of each user or address. */
import { ParleyError } from '../protocol/errors.ts';

export class Transfers {
  readonly #most: number;
  readonly #mostPerKey: number;
  readonly #refused: () => void;
  readonly #running = new Map<string, number>();
  #total = 0;

  constructor(most: number, refused: () => void) {
    this.#most = most;
    this.#mostPerKey = Math.max(1, Math.floor(most / 8));
    this.#refused = refused;
  }

  /** @returns a function that frees the place @throws {ParleyError} `overloaded` */
  take(key: string): () => void {
    const running = this.#running.get(key) ?? 0;
    if (this.#total >= this.#most || running >= this.#mostPerKey) {
      this.#refused();
      throw new ParleyError('overloaded', 'Too many files are sent or read at a time.', { retryAfter: 1000 });
    }
    this.#total++;
    this.#running.set(key, running + 1);
    let freed = false;
    return () => {
      if (freed) return;
      freed = true;
      this.#total--;
      const left = (this.#running.get(key) ?? 1) - 1;
      if (left === 0) this.#running.delete(key);
      else this.#running.set(key, left);
    };
  }
}
