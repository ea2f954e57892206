/**
 * Removes uploads that nobody needs: unfinished ones, files that no message names, and files of deleted, expired and edited
 * messages. One node does it for all. A page of uploads is read in the order of ids, so that no search grows with the table.
 */
import { claimTask, extendClaim } from '../jobs/shared-tasks.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';
import type { postgres } from '../storage/sql.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { inUse, type UploadRows } from './rows.ts';
import type { UploadStore } from './store.ts';

export interface UploadSweepParts {
  /** The pool of background work. */
  readonly sql: postgres.Sql;
  readonly rows: Pick<UploadRows, 'forget'>;
  readonly store: Pick<UploadStore, 'discard'>;
  readonly orphanMs: number;
  readonly everyMs: number;
  readonly metrics: Pick<Metrics, 'uploads'>;
  readonly log: Log;
}

const pageRows = 200;
const first = '00000000-0000-0000-0000-000000000000';

interface Page {
  readonly last: string | null;
  readonly removed: readonly string[];
}

export class UploadSweep {
  readonly #parts: UploadSweepParts;
  readonly #task: PeriodicTask;

  constructor(parts: UploadSweepParts) {
    this.#parts = parts;
    this.#task = new PeriodicTask({
      run: (signal) => this.#run(signal),
      everyMs: parts.everyMs,
      jitter: 0.3,
      failed: (err, isFirst) => {
        if (isFirst) parts.log.warn({ err }, 'Could not remove unused uploads; their files stay until it succeeds.');
      },
      keepsAlive: false,
    });
    this.#task.startLater();
  }

  /** Searches now. */
  ran(): Promise<void> {
    return this.#task.ran();
  }

  stop(): Promise<void> {
    return this.#task.stop();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { sql, everyMs } = this.#parts;
    if (!(await claimTask(sql, 'uploads', everyMs))) return;
    for (let after: string | null = first; after !== null && !signal.aborted;) {
      const { last, removed } = await this.#page(after);
      for (const id of removed) await this.#remove(id);
      await extendClaim(sql, 'uploads', everyMs);
      after = last;
    }
  }

  async #page(after: string): Promise<Page> {
    const { sql, orphanMs } = this.#parts;
    // a message is stored a moment after it claims its files
    const old = sql`coalesce(u.claimed_at, u.created_at) < clock_timestamp() - ${orphanMs} * interval '1 ms'`;
    const [page] = await sql<Page[]>`
      with page as materialized (
        select u.* from uploads u where u.id > ${after} order by u.id limit ${pageRows}
      ), unused as materialized (
        select u.id from page u
        where u.state = 'removed' or ${old} and not ${inUse(sql)}
      ), marked as (
        update uploads u set state = 'removed' from unused n
        where u.id = n.id and (u.state = 'removed' or ${old} and not ${inUse(sql)})
        returning u.id
      )
      select (select p.id::text from page p order by p.id desc limit 1) as last, array(select id::text from marked) as removed`;
    return page ?? { last: null, removed: [] };
  }

  async #remove(id: string): Promise<void> {
    const { rows, store, metrics } = this.#parts;
    await store.discard(id);
    await rows.forget(id);
    metrics.uploads.removed.inc();
  }
}
