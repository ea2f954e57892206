/** Commands in flight, by id. Each command is answered, fails, or ends after its time limit. */
import { ParleyError } from '../protocol/errors.ts';
import { disconnected } from './failure.ts';

interface Waiting {
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: ParleyError) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** The server has its own limit; this one keeps a faulty caller from filling memory. */
const maxInFlight = 1000;

export class InFlight {
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;

  /**
   * @param send an error that it throws is the answer
   * @throws {ParleyError} `unavailable` without an answer in time, `overloaded` past 1,000 commands in flight
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

  /** Passes the answer on. An answer without a waiting command is dropped. */
  settle(id: number, output: unknown, error: ParleyError | undefined): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    clearTimeout(waiting?.timer);
    if (error === undefined) waiting?.resolve(output);
    else waiting?.reject(error);
  }

  /** The connection was lost: all commands in flight fail. */
  fail(): void {
    for (const id of this.#waiting.keys()) this.settle(id, undefined, disconnected());
  }
}
