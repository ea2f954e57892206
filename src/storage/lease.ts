/**
 * The lease of a node: whether the node may deliver. A node may deliver while its memberships and revocations are confirmed
 * recently enough (see confirmations.ts). A node renews its lease twice a second, and at once after `hurry`. A renewal reads
 * and confirms new changes only.
 *
 * Before the first renewal the lease is not held. held → (no renewal has succeeded for `leaseMs`: Postgres does not answer, or
 * the process was suspended) lapsed → (a renewal that began later has succeeded) held. `held` compares clocks at each call,
 * because a process that was suspended reads its sockets before it runs timers.
 */
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { systemClock, type Clock } from '../jobs/clock.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';
import { leaseMs, type Confirmations } from './confirmations.ts';

/**
 * Applies new changes to this node. @returns false if changes are left, which the next attempt finds.
 * @param isNew the node had no row: the node starts, its lease had ended, or the database has another history.
 */
export type Reader = (isNew: boolean) => Promise<boolean>;

export interface LeaseOptions {
  readonly confirmations: Pick<Confirmations, 'poll' | 'register' | 'confirm' | 'leave' | 'forgetOthers'>;
  /** Whether no other process has this database. Then no other process acknowledges a removal, and the lease is always held. */
  readonly alone: boolean;
  readonly metrics: Pick<Metrics, 'leaseLapses'>;
  readonly log: Log;
  readonly clock?: Clock;
}

const everyMs = 500;
const aloneEveryMs = 1000;
const retryMs = 100;
/** Least time between two renewals: when many members leave at once, each removal hurries this node. */
const leastMs = 10;
const maxTries = 3;

export class Lease {
  readonly #options: LeaseOptions;
  readonly #readers: Reader[] = [];
  #onLapse: () => void = () => {};
  #until = -Infinity;
  /** The lapse is known. Before the first renewal no event has gone out, so that nothing has to be suspended. */
  #hasLapsed = true;
  /** This node has had no row since its last renewal. */
  #isNew = false;
  readonly #task: PeriodicTask;
  readonly #clock: Clock;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#task = new PeriodicTask({
      run: () => this.#renew(),
      everyMs: options.alone ? aloneEveryMs : everyMs,
      retry: { baseMs: retryMs, capMs: retryMs },
      leastMs,
      clock: this.#clock,
      failed: (error, isFirst) => {
        if (isFirst)
          options.log.warn(
            { err: error },
            'Could not confirm memberships in Postgres; retrying. After 3 s this node delivers nothing until it can.',
          );
      },
    });
  }

  /** Each reader brings one kind of change to this node. */
  follow(reader: Reader): void {
    this.#readers.push(reader);
  }

  /**
   * @param listener called once for each lapse, and not for the time before the first renewal. The listener requests the next
   * renewal.
   */
  onLapse(listener: () => void): void {
    this.#onLapse = listener;
  }

  /** Before any connection comes. @throws {Error} if Postgres does not answer. */
  async start(): Promise<void> {
    const { confirmations, alone } = this.#options;
    if (alone) await confirmations.forgetOthers();
    try {
      await this.renewed();
    } catch (error) {
      await this.#task.stop();
      throw error;
    }
  }

  /** After the last connection. */
  async stop(): Promise<void> {
    await this.#task.stop();
    try {
      await this.#options.confirmations.leave();
    } catch (error) {
      this.#options.log.warn(
        { err: error },
        'Could not sign off in Postgres; the next removal waits 3 s for this node.',
      );
    }
  }

  /** Whether this node may send events, take signals, and answer from memory. */
  get held(): boolean {
    if (this.#options.alone || this.#clock.now() < this.#until) return true;
    if (!this.#hasLapsed) {
      this.#hasLapsed = true;
      this.#options.metrics.leaseLapses.inc();
      this.#options.log.warn('Memberships could not be confirmed for 3 s; this node delivers nothing until they are.');
      this.#onLapse();
    }
    return false;
  }

  /** A removal on another node waits for this node: a membership or a token has ended. */
  hurry(): void {
    this.#task.wake();
  }

  /** Resolves after a renewal that began after this call. */
  renewed(): Promise<void> {
    this.#task.start();
    return this.#task.ran();
  }

  async #renew(): Promise<void> {
    const { confirmations } = this.#options;
    for (let attempt = 0; attempt < maxTries; attempt++) {
      const from = this.#clock.now();
      const { snapshot, registered, news } = await confirmations.poll();
      if (!registered) {
        // a poll counts only after the row exists
        await confirmations.register();
        this.#isNew = true;
        continue;
      }
      if (this.#isNew || news) {
        const done = await Promise.all(this.#readers.map((read) => read(this.#isNew)));
        if (done.includes(false)) continue;
        if (!(await confirmations.confirm(snapshot))) continue;
      }
      this.#until = from + leaseMs;
      this.#hasLapsed = false;
      this.#isNew = false;
      return;
    }
    throw new Error('Memberships change faster than this node can apply them.');
  }
}
