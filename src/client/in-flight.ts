/** Commands on their way, by id: each is answered, fails, or is given up after its time. */
import { ParleyError } from '../protocol/errors.ts';
import { disconnected } from './failure.ts';

interface Waiting {
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: ParleyError) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** The server has its own bound; this one keeps a runaway caller from filling memory. */
const maxInFlight = 1000;

export class InFlight {
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;

  /**
   * @param send what it throws is the answer
   * @throws {ParleyError} `unavailable` where nothing comes in time, `overloaded` past 1,000 at a time
   */
  add(timeoutMs: number, send: (id: number) => void): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= maxInFlight) throw new ParleyError('overloaded');
      const id = this.#nextId++;
      send(id);
      const late = (): void => this.settle(id, undefined, disconnected('The server did not answer in time.'));
      this.#waiting.set(id, { resolve, reject, timer: setTimeout(late, timeoutMs) });
    });
  }

  /** The answer came; one that nobody waits for any more is dropped. */
  settle(id: number, output: unknown, error: ParleyError | undefined): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    clearTimeout(waiting?.timer);
    if (error === undefined) waiting?.resolve(output);
    else waiting?.reject(error);
  }

  /** The connection went. */
  fail(): void {
    for (const id of Array.from(this.#waiting.keys())) this.settle(id, undefined, disconnected());
  }
}
