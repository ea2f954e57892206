import type { postgres } from '../../storage/sql.ts';
import type { Log } from '../../telemetry/log.ts';

export interface OutboxCleanupOptions {
  readonly sql: postgres.Sql;
  readonly log: Log;
  /** After so long without a commit, outbox rows are marked alone. */
  readonly tidyMs?: number;
}

/** Rows that a commit marks as published, and the history that they are of. */
export interface PublishedRows {
  readonly ids: number[];
  readonly life: number;
}

/** Ids of outbox rows that are already published. The next commit marks them in the same statement, which saves a round trip. */
export class OutboxCleanup {
  readonly #options: OutboxCleanupOptions;
  #ids: number[] = [];
  #committedAt = 0;
  #life = 0;
  #tidying: NodeJS.Timeout | undefined = undefined;

  constructor(options: OutboxCleanupOptions) {
    this.#options = options;
  }

  /** A commit's rows. Without another commit soon they are marked alone, or other nodes would take this node for dead. */
  add(ids: Iterable<number>): void {
    this.#ids.push(...ids);
    this.#tidySoon();
  }

  /** The ids for the next commit to mark. `restore` gives the ids of a failed commit to a later one. */
  take(): PublishedRows {
    this.#committedAt = performance.now();
    const ids = this.#ids;
    this.#ids = [];
    return { ids, life: this.#life };
  }

  restore({ ids, life }: PublishedRows): void {
    if (life === this.#life) this.#ids.push(...ids);
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
    const published = this.take();
    try {
      await sql`select mark_published(${published.ids}::bigint[])`;
    } catch (error) {
      this.restore(published);
      // the relay of another node may publish the events again, which does no harm; the next commit marks the rows
      log.debug({ err: error }, 'Could not mark outbox rows as published; the next commit marks them.');
    }
  }
}
