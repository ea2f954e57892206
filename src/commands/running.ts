/** Commands that wait for their answer, counted for their connection and for the drain. */
import { ParleyError } from '../protocol/errors.ts';
import type { Connection } from '../hub/connection.ts';
import type { Entry } from './table.ts';

/** What a drain refuses. Writes go first: another process may store from then on, and reads are still answered. */
export type Drained = 'writes' | 'all';

export class Running {
  readonly #counts: Record<Drained, number> = { writes: 0, all: 0 };
  #refusing: 'none' | Drained = 'none';
  #waiting: { readonly what: Drained; readonly resolve: () => void }[] = [];

  /** From now on these commands are answered `draining`; resolves when those that run have been answered. */
  async drain(what: Drained): Promise<void> {
    this.#refusing = what;
    if (this.#counts[what] > 0) await new Promise<void>((resolve) => this.#waiting.push({ what, resolve }));
  }

  /** @throws {ParleyError} `draining` */
  admit(entry: Entry | undefined): void {
    if (this.#refusing !== 'none' && (this.#refusing === 'all' || entry?.stores === true)) {
      throw new ParleyError('draining', undefined, { retryAfter: 1000 });
    }
  }

  began(connection: Connection, entry: Entry): void {
    connection.pending++;
    if (entry.reads) connection.reading++;
    this.#counts.all++;
    if (entry.stores) this.#counts.writes++;
  }

  ended(connection: Connection, entry: Entry): void {
    connection.pending--;
    if (entry.reads) connection.reading--;
    this.#counts.all--;
    if (entry.stores) this.#counts.writes--;
    if (this.#waiting.length > 0) this.#resolve();
  }

  #resolve(): void {
    this.#waiting = this.#waiting.filter(({ what, resolve }) => {
      if (this.#counts[what] > 0) return true;
      resolve();
      return false;
    });
  }
}
