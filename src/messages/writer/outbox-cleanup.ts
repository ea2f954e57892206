import type { postgres } from '../../storage/sql.ts';
import type { Log } from '../../telemetry/log.ts';

export interface OutboxCleanupOptions {
  readonly sql: postgres.Sql;
  readonly log: Log;
  /** After so long without a commit, outbox rows are deleted alone. */
  readonly tidyMs?: number;
}

/** Ids of outbox rows that are already published. The next commit deletes them in the same statement, which saves a round trip. */
export class OutboxCleanup {
  readonly #options: OutboxCleanupOptions;
  #ids: number[] = [];
  #committedAt = 0;
  #life = 0;
  #tidying: NodeJS.Timeout | undefined = undefined;

  constructor(options: OutboxCleanupOptions) {
    this.#options = options;
  }

  /** A commit's rows. Without another commit soon they are deleted alone, or other nodes would take this node for dead. */
  add(ids: Iterable<number>): void {
    this.#ids.push(...ids);
    this.#tidySoon();
  }

  /** Calls with the ids to delete now. The ids of a failed call are deleted with a later one. */
  async deleting<T>(call: (ids: number[]) => Promise<T>): Promise<T> {
    this.#committedAt = performance.now();
    const [ids, life] = [this.#ids, this.#life];
    this.#ids = [];
    try {
      return await call(ids);
    } catch (error) {
      if (life === this.#life) this.#ids.push(...ids);
      throw error;
    }
  }

  /** The database went back in time: the new history may assign these ids again. */
  forget(): void {
    this.#ids = [];
    this.#life++;
  }

  /** After the last commit: leaves no row for others to relay. */
  async stop(): Promise<void> {
    clearTimeout(this.#tidying);
    this.#tidying = undefined;
    await this.#tidy();
  }

  #tidySoon(): void {
    if (this.#ids.length === 0) return;
    const { tidyMs = 300 } = this.#options;
    this.#tidying ??= setTimeout(() => {
      this.#tidying = undefined;
      if (performance.now() - this.#committedAt < tidyMs) this.#tidySoon();
      else void this.#tidy();
    }, tidyMs);
  }

  async #tidy(): Promise<void> {
    if (this.#ids.length === 0) return;
    const { sql, log } = this.#options;
    try {
      await this.deleting((ids) => sql`delete from outbox where id = any (${ids}::bigint[])`);
    } catch (error) {
      // the relay of another node may publish the events again, which does no harm; the next commit deletes the rows
      log.debug({ err: error }, 'Could not delete outbox rows; the next commit deletes them.');
    }
  }
}
