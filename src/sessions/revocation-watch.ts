import type { Log } from '../telemetry/log.ts';
import type { Revocation, Revocations } from './revocations.ts';
import { systemClock, type Clock } from '../jobs/clock.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';

const pollMs = 1000;
const pruneMs = 600_000;

export interface RevocationWatchOptions {
  readonly revocations: Revocations;
  /** Called once for each revocation, and again when its token has become known. A second call must do no harm. */
  readonly apply: (revocation: Revocation) => Promise<void>;
  readonly log: Log;
  readonly clock?: Clock;
}

/**
 * Applies the revocations of all nodes to the connections of this node: within a second, and at once after `hurry`. While
 * Postgres is unavailable no revocation arrives, and no client can connect; the next read gets the missed revocations.
 */
export class RevocationWatch {
  readonly #options: RevocationWatchOptions;
  readonly #polling: PeriodicTask;
  readonly #pruning: PeriodicTask;
  #cursor: string | undefined = undefined;
  /** The revocations of the last poll: the next poll skips them. */
  #known: ReadonlySet<string> = new Set();
  #restarts = 0;

  constructor(options: RevocationWatchOptions) {
    this.#options = options;
    const { revocations, log, clock = systemClock } = options;
    const warn = (text: string) => (error: unknown, isFirst: boolean) => {
      if (isFirst) log.warn({ err: error }, text);
    };
    this.#polling = new PeriodicTask({
      run: () => this.#poll(this.#cursor ?? '0'),
      everyMs: pollMs,
      clock,
      failed: warn('Could not read revocations from Postgres; retrying. Revoked tokens may be accepted until then.'),
    });
    this.#pruning = new PeriodicTask({
      run: () => revocations.prune(),
      everyMs: pruneMs,
      clock,
      failed: warn('Could not delete the revocations of expired tokens from Postgres; retrying in 10 minutes.'),
    });
  }

  /** Called before the first connection: every later revocation is read. */
  async start(): Promise<void> {
    this.#cursor = await this.#options.revocations.cursor();
    this.#polling.startLater();
    this.#pruning.startLater();
  }

  hurry(): void {
    this.#polling.wake();
  }

  /** Resolves after a read that began after this call. @returns whether all that it found was applied. */
  read(): Promise<boolean> {
    return this.#polling.ran().then(
      () => true,
      () => false, // the task has logged the error
    );
  }

  /** The database went back in time: its transaction ids may lie below the cursor. Every young revocation counts again. */
  restart(): void {
    if (this.#cursor === undefined) return;
    this.#restarts++;
    this.#cursor = '0';
    this.#known = new Set();
    this.hurry();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#polling.stop(), this.#pruning.stop()]);
  }

  async #poll(from: string): Promise<void> {
    const restarts = this.#restarts;
    const { cursor, rows } = await this.#options.revocations.since(from);
    for (const row of rows) if (!this.#known.has(keyOf(row))) await this.#options.apply(row);
    if (restarts !== this.#restarts) return; // `hurry` has requested another poll
    this.#known = new Set(rows.map(keyOf));
    this.#cursor = cursor;
  }
}

function keyOf({ id, xid }: { readonly id: number; readonly xid: string }): string {
  return `${id}:${xid}`;
}
