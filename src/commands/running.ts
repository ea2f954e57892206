/** Counts the commands that wait for their answer, for their connection and for the drain. */
import { ParleyError } from '../protocol/errors.ts';
import type { Connection } from '../hub/connection.ts';
import type { Entry } from './table.ts';

type Work = Pick<Entry, 'reads' | 'stores'>;

/** The commands that a drain refuses. Writes end first, so that another process may store while reads are answered. */
export type Drained = 'writes' | 'all';

export class Running {
  readonly #counts: Record<Drained, number> = { writes: 0, all: 0 };
  #refusing: 'none' | Drained = 'none';
  #waiting: { readonly kind: Drained; readonly resolve: () => void }[] = [];

  /** Refuses these commands with `draining` from now on. Resolves when the running ones have been answered. */
  async drain(kind: Drained): Promise<void> {
    this.#refusing = kind;
    if (this.#counts[kind] > 0) await new Promise<void>((resolve) => this.#waiting.push({ kind, resolve }));
  }

  /** @throws {ParleyError} `draining` */
  admit(entry: Work | undefined): void {
    if (this.#refusing !== 'none' && (this.#refusing === 'all' || entry?.stores === true)) {
      throw new ParleyError('draining', undefined, { retryAfter: 1000 });
    }
  }

  /** @param by absent: the command came without a connection. */
  began(entry: Work, by?: Connection): void {
    if (by !== undefined) {
      by.pending++;
      if (entry.reads) by.reading++;
    }
    this.#counts.all++;
    if (entry.stores) this.#counts.writes++;
  }

  /** @param by as in `began`. */
  ended(entry: Work, by?: Connection): void {
    if (by !== undefined) {
      by.pending--;
      if (entry.reads) by.reading--;
    }
    this.#counts.all--;
    if (entry.stores) this.#counts.writes--;
    if (this.#waiting.length > 0) this.#resolve();
  }

  #resolve(): void {
    this.#waiting = this.#waiting.filter(({ kind, resolve }) => {
      if (this.#counts[kind] > 0) return true;
      resolve();
      return false;
    });
  }
}
