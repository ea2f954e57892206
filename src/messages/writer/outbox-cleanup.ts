import type { postgres } from '../../storage/sql.ts';
import type { Log } from '../../telemetry/log.ts';

export interface OutboxCleanupOptions {
  readonly sql: postgres.Sql;
  readonly log: Log;
  /** How long nothing was committed when outbox rows are deleted by themselves. */
  readonly tidyMs?: number;
}

/** Outbox rows whose events went to fan-out: the next commit, whoever makes it, deletes them, which costs no round trip. */
export class OutboxCleanup {
  readonly #options: OutboxCleanupOptions;
  #ids: number[] = [];
  #committedAt = 0;
  #life = 0;
  #tidying: NodeJS.Timeout | undefined = undefined;

  constructor(options: OutboxCleanupOptions) {
    this.#options = options;
  }

  /** A commit's rows. If no other commit comes soon they are deleted alone, or other nodes would take this one for dead. */
  add(ids: Iterable<number>): void {
    this.#ids.push(...ids);
    this.#tidySoon();
  }

  /** Calls with what is to be deleted now; if that fails it stays to be deleted. */
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

  /** The database went back in time: these ids may be given out again. */
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
      // whoever finds them tells what was told before, which does no harm; the next commit tries once more
      log.debug({ err: error }, 'outbox rows could not be deleted');
    }
  }
}
