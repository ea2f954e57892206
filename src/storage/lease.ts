/**
 * Whether this node may deliver: what it knows of memberships and revocations is confirmed, and recently enough (see
 * confirmations.ts). It looks twice a second, and at once after `hurry`; only what is new is read and confirmed.
 *
 * It is not held before the first look. held → (no look has succeeded for `leaseMs`: Postgres does not answer, or the process was stopped) lapsed → (a look
 * that began later has succeeded) held. The clock decides in the moment of asking, since a process that was stopped runs
 * no timer before it reads its sockets.
 */
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { leaseMs, type Confirmations } from './confirmations.ts';

/**
 * Brings what is new to this node. @returns false if something is left, which the next look finds.
 * @param isNew the node had no row: it starts, its lease had ended, or the database has another history.
 */
export type Reader = (isNew: boolean) => Promise<boolean>;

export interface LeaseOptions {
  readonly confirmations: Pick<Confirmations, 'look' | 'register' | 'confirm' | 'leave' | 'forgetOthers'>;
  /** Whether no other process has this database. Then nobody else acknowledges a removal, and the lease always holds. */
  readonly alone: boolean;
  readonly metrics: Pick<Metrics, 'leaseLapses'>;
  readonly log: Log;
}

const everyMs = 500;
const aloneEveryMs = 1000;
const retryMs = 100;
/** Between two looks: in a crowd that leaves, each removal asks for one. */
const leastMs = 10;
const maxTries = 3;

export class Lease {
  readonly #options: LeaseOptions;
  readonly #readers: Reader[] = [];
  #onLapse: () => void = () => {};
  #until = -Infinity;
  #lookedAt = -Infinity;
  /** Not held, and known to be so. Before the first look nothing has gone out that would have to be suspended. */
  #hasLapsed = true;
  /** This node has had no row since its last renewal. */
  #isNew = false;
  #timer: NodeJS.Timeout | undefined = undefined;
  #running: Promise<void> | undefined = undefined;
  #next: Promise<void> | undefined = undefined;
  #hurried = false;
  #failing = false;
  #stopped = false;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Each reader brings one kind of change to this node. */
  follow(reader: Reader): void {
    this.#readers.push(reader);
  }

  /**
   * @param listener called once each time that the lease was found to have ended; the next renewal is its affair. That the
   * lease is not held before the first renewal it is not told.
   */
  onLapse(listener: () => void): void {
    this.#onLapse = listener;
  }

  /** Before any connection comes. */
  async start(): Promise<void> {
    const { confirmations, alone } = this.#options;
    if (alone) await confirmations.forgetOthers();
    await this.renewed();
    this.#schedule(this.#everyMs);
  }

  /** No connection is left. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running?.catch(() => {}); // whoever began it has its error
    try {
      await this.#options.confirmations.leave();
    } catch (error) {
      this.#options.log.warn(
        { err: error },
        'Could not sign off in Postgres; the next removal waits 3 s for this node.',
      );
    }
  }

  /** Whether events may go out, signals be taken, and answers come from memory. */
  get held(): boolean {
    if (this.#options.alone || performance.now() < this.#until) return true;
    if (!this.#hasLapsed) {
      this.#hasLapsed = true;
      this.#options.metrics.leaseLapses.inc();
      this.#options.log.warn('Memberships could not be confirmed for 3 s; nothing is delivered until they are.');
      this.#onLapse();
    }
    return false;
  }

  /** Somebody waits for this node: another node says that a membership or a token has ended. */
  hurry(): void {
    if (this.#stopped || this.#hurried) return;
    this.#hurried = true;
    this.#schedule(Math.max(0, this.#lookedAt + leastMs - performance.now()));
  }

  /** Resolves after a renewal that began after this call. */
  renewed(): Promise<void> {
    if (this.#running === undefined) return this.#begin();
    this.#next ??= this.#running.then(
      () => this.#begin(),
      () => this.#begin(),
    );
    return this.#next;
  }

  get #everyMs(): number {
    return this.#options.alone ? aloneEveryMs : everyMs;
  }

  #schedule(waitMs: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#tick(), waitMs);
  }

  async #tick(): Promise<void> {
    this.#hurried = false;
    let failed = false;
    try {
      await this.renewed();
    } catch (error) {
      failed = true;
      if (!this.#failing)
        this.#options.log.warn({ err: error }, 'Could not confirm memberships in Postgres; retrying.');
    }
    this.#failing = failed;
    // a call of `hurry` meanwhile has set the timer already
    if (!this.#hurried) this.#schedule(failed ? retryMs : this.#everyMs);
  }

  #begin(): Promise<void> {
    this.#next = undefined;
    this.#running = this.#renew().finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #renew(): Promise<void> {
    const { confirmations } = this.#options;
    for (let attempt = 0; attempt < maxTries; attempt++) {
      const from = (this.#lookedAt = performance.now());
      const { snapshot, registered, news } = await confirmations.look();
      if (!registered) {
        // not before the row is there does a look count
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
    throw new Error('memberships change faster than they can be applied');
  }
}
