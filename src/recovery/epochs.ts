/**
 * Watches whether the database went back in time: a restore, or a failover that lost commits. Revs are then assigned a
 * second time, so cursors, replay buffers and positions of the old history must go.
 *
 * One small statement a second reads three signs. The row of the installation does not describe itself: a restored dump, a
 * copy, a promoted standby, a recovery to a point in time. The database's log ends before a position read earlier: a volume
 * that was set back. Another node began a new epoch. The fourth sign is a room's head below a rev that this node delivered
 * or sent in an answer. AntiEntropy compares heads and reports this sign by `wentBack`.
 *
 * The first node that sees a sign begins the new epoch by compare-and-set. Every node adopts the epoch within a second.
 */
import { StartupError } from '../startup-error.ts';
import { systemClock, type Clock } from '../jobs/clock.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Installation } from '../storage/installation.ts';

export interface EpochsOptions {
  readonly read: () => Promise<Installation>;
  readonly renew: (expected: string) => Promise<boolean>;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly pollMs?: number;
  readonly clock?: Clock;
}

/** Nodes that started together spread their queries. */
const jitter = 0.2;

type Sign = 'storage' | 'log' | 'heads';

const causes: Readonly<Record<Sign, string>> = {
  storage: 'it was restored, copied or promoted',
  log: 'its log ends before a position that it had reached',
  heads: 'a room has a lower rev than this node has delivered',
};

export class Epochs {
  readonly #options: EpochsOptions;
  #id = '';
  #epoch = '';
  #lsn = 0;
  #hintedAt = -Infinity;
  #checking: Promise<void> | undefined = undefined;
  readonly #polling: PeriodicTask;
  readonly #clock: Clock;

  /** Called after the epoch has changed, before any later check. */
  onChange: (() => void) | undefined = undefined;

  constructor(options: EpochsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const { pollMs = 1000, metrics, log } = options;
    this.#polling = new PeriodicTask({
      run: () => this.check(),
      everyMs: pollMs,
      jitter,
      clock: this.#clock,
      failed: (error, isFirst) => {
        metrics.repairFailures.inc({ what: 'epoch' });
        if (!isFirst) return;
        log.warn(
          { err: error },
          'Could not read the epoch from Postgres; retrying. A database that went back in time stays unnoticed until then.',
        );
      },
    });
  }

  /** The id of the installation, which is the same for the life of the database. */
  get id(): string {
    return this.#id;
  }

  /** The epoch of the history, as this node knows it. */
  get epoch(): string {
    return this.#epoch;
  }

  /** Reads the epoch, and renews it if the database was restored meanwhile. From now on the epoch is polled. */
  async start(): Promise<void> {
    await this.#step();
    this.#polling.startLater();
  }

  async stop(): Promise<void> {
    await this.#polling.stop();
    await this.#checking?.catch(() => {});
  }

  /** Reads the epoch now; callers share one read. @throws {Error} where Postgres does not answer. */
  check(): Promise<void> {
    return (this.#checking ??= this.#step().finally(() => (this.#checking = undefined)));
  }

  /** Another node may know a later epoch. Hints cause at most four reads a second. */
  hint(): void {
    const now = this.#clock.now();
    if (now - this.#hintedAt < 250) return;
    this.#hintedAt = now;
    this.#polling.wake();
  }

  /** A room's head is below a rev that was delivered under this epoch. */
  async wentBack(epoch: string): Promise<void> {
    if (epoch !== this.#epoch) return; // the epoch has changed already
    const { complete } = await this.#options.read();
    if (complete) await this.#renew(epoch, 'heads');
    await this.check();
  }

  async #step(): Promise<void> {
    let found = await this.#options.read();
    if (!found.complete) {
      // a restore is under way: a running node waits for its end
      if (this.#epoch !== '') return;
      throw new StartupError(
        'The database lacks primary keys: a restore is under way or failed. Start when it is done.',
      );
    }
    const sign: Sign | undefined = !found.intact
      ? 'storage'
      : found.epoch === this.#epoch && found.lsn < this.#lsn
        ? 'log'
        : undefined;
    if (sign !== undefined) {
      await this.#renew(found.epoch, sign);
      found = await this.#options.read();
    }
    const { id, epoch, lsn } = found;
    this.#id = id;
    this.#lsn = lsn;
    if (epoch === this.#epoch) return;
    const first = this.#epoch === '';
    this.#epoch = epoch;
    if (first) return;
    const { metrics, log } = this.#options;
    metrics.epochChanges.inc();
    log.warn({ epoch }, 'The database went back in time: this node adopts the new epoch and resets its clients.');
    this.onChange?.();
  }

  async #renew(expected: string, sign: Sign): Promise<void> {
    const { renew, metrics, log } = this.#options;
    if (!(await renew(expected))) return;
    metrics.epochsRenewed.inc({ sign });
    log.warn(
      { before: expected, sign },
      `The database may have gone back in time (${causes[sign]}): began a new epoch.`,
    );
  }
}
