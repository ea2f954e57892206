/** Requests a list or a count again: once for a burst of events, and once more if an event came during the request. */
export class Refresh<T> {
  readonly #load: () => Promise<T>;
  readonly #done: (loaded: T) => void;
  readonly #gatherMs: number;
  /** The number of the last request; answers to earlier ones are dropped. */
  #request = 0;
  #underWay = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(gatherMs: number, load: () => Promise<T>, done: (loaded: T) => void) {
    this.#gatherMs = gatherMs;
    this.#load = load;
    this.#done = done;
  }

  now(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.drop();
    const request = this.#request;
    this.#underWay = true;
    this.#load().then(
      (loaded) => {
        if (request !== this.#request) return;
        this.#underWay = false;
        this.#done(loaded);
      },
      // the next connection, or the next event, sends a new request
      () => {
        if (request === this.#request) this.#underWay = false;
      },
    );
  }

  soon(): void {
    this.#timer ??= setTimeout(() => this.now(), this.#gatherMs);
  }

  /** The state has changed by an event: the answer to a request under way may have the state before. */
  changed(): void {
    if (this.#underWay) this.soon();
  }

  /** Ignores the answer to a request under way. */
  drop(): void {
    this.#request += 1;
    this.#underWay = false;
  }

  close(): void {
    this.drop();
    clearTimeout(this.#timer);
  }
}
