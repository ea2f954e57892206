/**
 * Finds what this node was not told, and has it repaired: first memberships, then settings of rooms, then the heads of
 * all occupied rooms, in one query each.
 *
 * alone: memberships and settings. The answer of Postgres may be lost after the commit, and a second try finds it done and
 * tells nobody; a command beside the server (`parley import`) tells nobody at all. A head ahead of what was delivered needs
 * no repair, for whatever moves a rev leaves a row in the outbox, which is relayed.
 * hearing: a look every few seconds, for Pub/Sub may lose things silently.
 * deaf: a look every second, so that events cross nodes all the same; events of this node go out at once.
 * A head below a rev that was delivered here says that the database went back in time (see recovery/epochs.ts).
 * resuming (the node starts, the others are heard again, or the lease has ended): nothing goes out until memberships have been read and the
 * lease is held, for a user may have been removed meanwhile; then the heads. Tried again until it succeeds.
 */
import type { Others } from '../fanout/fanout.ts';
import type { Epochs } from './epochs.ts';
import type { Lease } from '../storage/lease.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { MembershipReconciler } from './membership-reconciler.ts';
import type { FanoutReceiver } from '../hub/fanout-receiver.ts';
import type { Resequencer } from './resequencer.ts';
import type { SettingsReconciler } from './settings-reconciler.ts';

export interface AntiEntropyParts {
  /** Undefined: this node is alone. */
  readonly others: Others | undefined;
  readonly order: Resequencer;
  readonly receiver: Pick<FanoutReceiver, 'release'>;
  readonly lease: Pick<Lease, 'renewed' | 'held' | 'onLapse'>;
  readonly memberships: MembershipReconciler;
  readonly roomStates: SettingsReconciler;
  /** The rev of each of the rooms in Postgres. */
  readonly heads: (rooms: readonly string[]) => Promise<readonly { room: string; head: number }[]>;
  readonly epochs: Pick<Epochs, 'epoch' | 'wentBack'>;
  readonly pollMs: number;
  readonly metrics: Metrics;
  readonly log: Log;
}

const unreachablePollMs = 1000;
const resumeRetryMs = 250;
/** An event on its way through Redis is some milliseconds behind its row in Postgres. */
const hearingGraceMs = 100;
const unreachableGraceMs = 20;

export class AntiEntropy {
  readonly #parts: AntiEntropyParts;
  /** Counts the times that others were heard again: a step that began before is no use for it. */
  #resumes = 0;
  #resuming = false;
  /** Others were not heard at some time since the last look at the heads. */
  #wereUnreachable = true;
  #running: Promise<void> | undefined = undefined;
  #again = false;
  #timer: NodeJS.Timeout | undefined = undefined;
  #failing = false;
  #stopped = false;
  #resumed: (() => void)[] = [];

  constructor(parts: AntiEntropyParts) {
    this.#parts = parts;
  }

  /** Before any connection comes. */
  async start(): Promise<void> {
    const { others, memberships, roomStates, lease } = this.#parts;
    await Promise.all([memberships.start(), roomStates.start()]);
    this.#wereUnreachable = !this.#hears;
    others?.onChange((reachable) => {
      if (reachable) this.#resume();
      else this.#lost();
    });
    lease.onLapse(() => this.#resume());
    // an event that came before this suspended the order, and nobody was told
    if (lease.held) this.#schedule();
    else this.#resume();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#parts.memberships.stop();
    for (const resolve of this.#resumed.splice(0)) resolve();
    await this.#running;
  }

  get #hears(): boolean {
    return this.#parts.others?.reachable !== false;
  }

  /**
   * The database went back in time: cursors and positions of the old history go, and nothing goes out until memberships
   * have been read anew. Resolves then, or when the node stops.
   */
  restart(): Promise<void> {
    const { memberships, roomStates, order } = this.#parts;
    memberships.restart();
    roomStates.restart();
    order.forget();
    const resumed = new Promise<void>((resolve) => this.#resumed.push(resolve));
    this.#resume();
    return resumed;
  }

  #lost(): void {
    this.#wereUnreachable = true;
    this.#look();
  }

  #resume(): void {
    this.#resumes++;
    this.#resuming = true;
    this.#wereUnreachable = true;
    this.#parts.order.suspend();
    this.#look();
  }

  /** Now, or after the look that is under way. */
  #look(): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    this.#running = this.#round().finally(() => {
      this.#running = undefined;
      if (this.#again) {
        this.#again = false;
        this.#look();
      } else {
        this.#schedule();
      }
    });
  }

  #schedule(): void {
    if (this.#stopped) return;
    const everyMs = this.#resuming ? resumeRetryMs : this.#hears ? this.#parts.pollMs : unreachablePollMs;
    // nodes that began together need not ask together
    this.#timer = setTimeout(() => this.#look(), everyMs * (0.8 + Math.random() * 0.2));
  }

  async #round(): Promise<void> {
    const { order, receiver, lease, memberships, roomStates, metrics, log } = this.#parts;
    const resumes = this.#resumes;
    try {
      await memberships.step();
      if (this.#resuming) await lease.renewed();
      if (this.#resuming && resumes === this.#resumes && lease.held) {
        this.#resuming = false;
        order.release();
        receiver.release();
        for (const resolve of this.#resumed.splice(0)) resolve();
      }
      await roomStates.step();
      await this.#compareHeads();
      this.#failing = false;
    } catch (error) {
      this.#wereUnreachable = true;
      metrics.repairFailures.inc({ what: 'look' });
      if (!this.#failing) log.warn({ err: error }, 'what this node was not told could not be read; it is tried again');
      this.#failing = true;
    }
  }

  async #compareHeads(): Promise<void> {
    const { others, order, heads, epochs } = this.#parts;
    // before the read: what is delivered while it lasts may be newer
    const [epoch, known] = [epochs.epoch, order.known()];
    const wasDeaf = this.#wereUnreachable;
    this.#wereUnreachable = !this.#hears;
    const graceMs = wasDeaf ? unreachableGraceMs : hearingGraceMs;
    let back = false;
    for (const { room, head } of await heads([...known.keys()])) {
      if (head < (known.get(room) ?? 0)) back = true;
      else if (others !== undefined && epoch === epochs.epoch)
        order.compare(room, head, wasDeaf ? 'away' : 'heads', graceMs);
    }
    if (back) await epochs.wentBack(epoch);
  }
}
