import type { Log } from '../telemetry/log.ts';
import type { Revocation, Revocations } from './revocations.ts';
import { every } from '../jobs/periodic.ts';

const pollMs = 1000;
const pruneMs = 600_000;

export interface RevocationWatchOptions {
  readonly revocations: Revocations;
  /** Called once for each revocation, and again when its token has become known. A second call must do no harm. */
  readonly apply: (revocation: Revocation) => Promise<void>;
  readonly log: Log;
}

/**
 * Applies the revocations of all nodes to the connections of this node: within a second, and at once after `hurry`. While
 * Postgres is unavailable no revocation arrives, and no client can connect; the next read gets the missed revocations.
 */
export class RevocationWatch {
  readonly #options: RevocationWatchOptions;
  readonly #timers: NodeJS.Timeout[];
  #cursor: string | undefined = undefined;
  /** The revocations of the last poll: the next poll skips them. */
  #known: ReadonlySet<string> = new Set();
  #polling: Promise<boolean> | undefined = undefined;
  #again = false;
  #failing = false;
  #stopped = false;
  #restarts = 0;

  constructor(options: RevocationWatchOptions) {
    this.#options = options;
    const prune = (): void => void this.#guard(() => this.#options.revocations.prune());
    this.#timers = [every(() => this.hurry(), pollMs), every(prune, pruneMs)];
  }

  /** Called before the first connection: every later revocation is read. */
  async start(): Promise<void> {
    this.#cursor = await this.#options.revocations.cursor();
  }

  hurry(): void {
    if (this.#stopped || this.#cursor === undefined) return;
    if (this.#polling !== undefined) {
      this.#again = true;
      return;
    }
    this.#polling = this.#guard(() => this.#poll(this.#cursor ?? '0')).finally(() => {
      this.#polling = undefined;
      if (!this.#again) return;
      this.#again = false;
      this.hurry();
    });
  }

  /** Resolves after a read that began after this call. @returns whether all that it found was applied. */
  async read(): Promise<boolean> {
    await this.#polling;
    if (this.#polling === undefined) this.hurry();
    return (await this.#polling) ?? true;
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
    this.#stopped = true;
    this.#timers.forEach(clearInterval);
    await this.#polling;
  }

  async #poll(from: string): Promise<void> {
    const restarts = this.#restarts;
    const { cursor, rows } = await this.#options.revocations.since(from);
    for (const row of rows) if (!this.#known.has(keyOf(row))) await this.#options.apply(row);
    if (restarts !== this.#restarts) return; // `hurry` has requested another poll
    this.#known = new Set(rows.map(keyOf));
    this.#cursor = cursor;
  }

  /** The first failure in a row is logged. The next round reads from the same cursor. */
  async #guard(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      this.#failing = false;
      return true;
    } catch (error) {
      if (!this.#failing)
        this.#options.log.warn(
          { err: error },
          'Could not read revocations from Postgres; retrying. Revoked tokens may be accepted until then.',
        );
      this.#failing = true;
      return false;
    }
  }
}

function keyOf({ id, xid }: { readonly id: number; readonly xid: string }): string {
  return `${id}:${xid}`;
}
