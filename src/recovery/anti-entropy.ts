/**
 * The periodic comparison with Postgres, which finds what fan-out lost. A round reads memberships, then the settings of
 * rooms, then the heads of all occupied rooms, with one query each.
 *
 * States of a node:
 * - *alone*: there are no other nodes. Rounds read memberships and settings. A commit whose answer was lost is repeated and
 *   publishes nothing, and neither does a command beside the server (`parley import`). Heads need no repair: each rev has a
 *   row in the outbox, which the relay publishes.
 * - *reachable*: events of other nodes arrive. A round runs every few seconds, because Pub/Sub can lose events silently.
 *   The loss of Redis makes the node unreachable.
 * - *unreachable*: a round runs every second, so that events still cross nodes. Events of this node are delivered at once.
 *   Redis that is back makes the node resume.
 * - *resuming*: the node started, other nodes are reachable again, or the lease ended. Nothing is delivered, because a user
 *   may have been removed meanwhile. A round that has read memberships and renewed the lease leads back to reachable,
 *   unreachable or alone. A round that fails is repeated.
 *
 * A head below a delivered rev shows that the database went back in time (see recovery/epochs.ts).
 */
import type { Others } from '../fanout/fanout.ts';
import type { Epochs } from './epochs.ts';
import type { Lease } from '../storage/lease.ts';
import { systemClock, type Clock } from '../jobs/clock.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { MembershipReconciler } from './membership-reconciler.ts';
import type { FanoutReceiver } from '../hub/fanout-receiver.ts';
import type { Resequencer } from './resequencer.ts';
import type { SettingsReconciler } from './settings-reconciler.ts';

export interface AntiEntropyParts {
  /** Undefined: this node is alone. */
  readonly others: Others | undefined;
  readonly resequencer: Resequencer;
  readonly receiver: Pick<FanoutReceiver, 'release'>;
  readonly lease: Pick<Lease, 'renewed' | 'held' | 'onLapse'>;
  readonly memberships: MembershipReconciler;
  readonly settings: SettingsReconciler;
  /** The rev of each room in Postgres. */
  readonly heads: (rooms: readonly string[]) => Promise<readonly { room: string; head: number }[]>;
  readonly epochs: Pick<Epochs, 'epoch' | 'wentBack'>;
  readonly pollMs: number;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly clock?: Clock;
}

const unreachablePollMs = 1000;
const resumeRetryMs = 250;
/** Nodes that started together spread their queries. */
const jitter = 0.2;
/** An event on its way through Redis is some milliseconds behind its row in Postgres. */
const reachableGraceMs = 100;
const unreachableGraceMs = 20;

export class AntiEntropy {
  readonly #parts: AntiEntropyParts;
  /** How often the node began to resume. A round that began before the last time may not end the suspension. */
  #resumes = 0;
  #resuming = false;
  /** Other nodes were unreachable at some time since the last comparison of heads. */
  #wereUnreachable = true;
  readonly #rounds: PeriodicTask;
  #resumed: (() => void)[] = [];

  constructor(parts: AntiEntropyParts) {
    this.#parts = parts;
    this.#rounds = new PeriodicTask({
      run: () => this.#round(),
      everyMs: () => this.#pauseMs,
      jitter,
      clock: parts.clock ?? systemClock,
      failed: (error, isFirst) => this.#failed(error, isFirst),
    });
  }

  /** Before any connection comes. */
  async start(): Promise<void> {
    const { others, memberships, settings, lease } = this.#parts;
    await Promise.all([memberships.start(), settings.start()]);
    this.#wereUnreachable = !this.#reachable;
    others?.onChange((reachable) => {
      if (reachable) this.#resume();
      else this.#lost();
    });
    lease.onLapse(() => this.#resume());
    // an event that came before this line suspended the resequencer, and `onLapse` had no listener then
    this.#rounds.startLater();
    if (!lease.held) this.#resume();
  }

  async stop(): Promise<void> {
    const ended = this.#rounds.stop();
    this.#parts.memberships.stop();
    for (const resolve of this.#resumed.splice(0)) resolve();
    await ended;
  }

  get #reachable(): boolean {
    return this.#parts.others?.reachable !== false;
  }

  /**
   * The database went back in time: cursors and positions of the old history go, and nothing is delivered until the
   * memberships have been read again. Resolves then, or when the node stops.
   */
  restart(): Promise<void> {
    const { memberships, settings, resequencer } = this.#parts;
    memberships.restart();
    settings.restart();
    resequencer.forget();
    const resumed = new Promise<void>((resolve) => this.#resumed.push(resolve));
    this.#resume();
    return resumed;
  }

  #lost(): void {
    this.#wereUnreachable = true;
    this.#rounds.wake();
  }

  #resume(): void {
    this.#resumes++;
    this.#resuming = true;
    this.#wereUnreachable = true;
    this.#parts.resequencer.suspend();
    this.#rounds.wake();
  }

  get #pauseMs(): number {
    return this.#resuming ? resumeRetryMs : this.#reachable ? this.#parts.pollMs : unreachablePollMs;
  }

  async #round(): Promise<void> {
    const { resequencer, receiver, lease, memberships, settings } = this.#parts;
    const resumes = this.#resumes;
    await memberships.step();
    if (this.#resuming) await lease.renewed();
    if (this.#resuming && resumes === this.#resumes && lease.held) {
      this.#resuming = false;
      resequencer.release();
      receiver.release();
      for (const resolve of this.#resumed.splice(0)) resolve();
    }
    await settings.step();
    await this.#compareHeads();
  }

  #failed(error: unknown, isFirst: boolean): void {
    const { metrics, log } = this.#parts;
    this.#wereUnreachable = true;
    metrics.repairFailures.inc({ what: 'look' });
    if (!isFirst) return;
    log.warn(
      { err: error },
      'Could not compare this node with Postgres; retrying. Lost events and changes reach clients late until then.',
    );
  }

  async #compareHeads(): Promise<void> {
    const { others, resequencer, heads, epochs } = this.#parts;
    // before the read: an event that is delivered during the read may be newer than its result
    const [epoch, known] = [epochs.epoch, resequencer.known()];
    const wereUnreachable = this.#wereUnreachable;
    this.#wereUnreachable = !this.#reachable;
    const graceMs = wereUnreachable ? unreachableGraceMs : reachableGraceMs;
    let back = false;
    for (const { room, head } of await heads([...known.keys()])) {
      if (head < (known.get(room) ?? 0)) back = true;
      else if (others !== undefined && epoch === epochs.epoch)
        resequencer.compare(room, head, wereUnreachable ? 'away' : 'heads', graceMs);
    }
    if (back) await epochs.wentBack(epoch);
  }
}
