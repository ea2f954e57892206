/** At most `most` loads of a node run at once. The others wait in order of arrival, up to `maxWaiting` and for `waitMs`. */
import { ParleyError } from '../../protocol/errors.ts';
import type { Clock } from '../../jobs/clock.ts';

export interface LoadLimitOptions {
  readonly most: number;
  readonly maxWaiting: number;
  readonly waitMs: number;
  readonly clock: Clock;
}

export class LoadLimit {
  readonly #options: LoadLimitOptions;
  readonly #waiting = new Set<() => void>();
  #running = 0;

  constructor(options: LoadLimitOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** @throws {ParleyError} `overloaded` */
  async run<T>(load: () => Promise<T>): Promise<T> {
    if (this.#running < this.#options.most) this.#running++;
    else await this.#place();
    try {
      return await load();
    } finally {
      // the place goes to the next load, or is free
      const [next] = this.#waiting;
      if (next === undefined) this.#running--;
      else next();
    }
  }

  #place(): Promise<void> {
    const { maxWaiting, waitMs, clock } = this.#options;
    if (this.#waiting.size >= maxWaiting) return Promise.reject(overloaded());
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        timer.cancel();
        this.#waiting.delete(enter);
        resolve();
      };
      const timer = clock.after(waitMs, () => {
        this.#waiting.delete(enter);
        reject(overloaded());
      });
      this.#waiting.add(enter);
    });
  }
}

function overloaded(): ParleyError {
  return new ParleyError('overloaded', undefined, { retryAfter: 1000 });
}
