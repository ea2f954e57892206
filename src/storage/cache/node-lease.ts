/**
 * Whether this node knows of every invalidation, so that it may serve values from its memory.
 *
 * alone → (Redis takes writes; the node has subscribed and joined, which empties its memory) shared → (Redis is lost, or did
 * not take an invalidation of this node; the memory is emptied) alone.
 *
 * While shared, the node holds its lease until `leaseMs` after it sent the last beat that came back. A beat goes through Redis
 * to the node's own channel and carries the version of Redis. The messages of invalidations carry versions too, one each. A
 * version that is missing before a message or a beat shows a lost message, and the memory is emptied. So a node that holds
 * its lease has applied every invalidation from before its last beat. Redis keeps the names of nodes that may hold a lease,
 * and an invalidation waits for each of them, or for `leaseMs`.
 *
 * `held` compares clocks at each call, because a suspended process reads its sockets before it runs its timers.
 */
import type { Clock } from '../../jobs/clock.ts';

export interface NodeLeaseOptions {
  readonly leaseMs: number;
  readonly clock: Clock;
  /** Empties the memory of this node. */
  readonly drain: (cause: 'lost' | 'joined' | 'gap') => void;
}

export class NodeLease {
  readonly #options: NodeLeaseOptions;
  #isShared = false;
  #until = -Infinity;
  #applied = 0;
  #floor = 0;
  #beats = 0;
  readonly #sent = new Map<number, number>();

  constructor(options: NodeLeaseOptions) {
    this.#options = options;
  }

  /** Whether the node may use the values of Redis. */
  get isShared(): boolean {
    return this.#isShared;
  }

  /** Whether the node may serve values that it has shared from its memory. */
  get held(): boolean {
    return this.#isShared && this.#options.clock.now() < this.#until;
  }

  /** This node does not use values of Redis with a lower version. */
  get floor(): number {
    return this.#floor;
  }

  /**
   * @param version that of Redis when the node joined: the memory has nothing from before
   * @param floor the version for a node that returns. Nodes without Redis may have ended before they delivered their
   * invalidations, so the node does not use what was in Redis before.
   */
  joined(version: number, floor: number): void {
    this.#isShared = true;
    this.#applied = version;
    this.#floor = floor;
    this.#sent.clear();
    this.#options.drain('joined');
  }

  left(): void {
    if (!this.#isShared) return;
    this.#isShared = false;
    this.#until = -Infinity;
    this.#options.drain('lost');
  }

  /** @returns the number of a beat that is sent now */
  beat(): number {
    const number = ++this.#beats;
    this.#sent.set(number, this.#options.clock.now());
    // one that has not come back for so long says nothing
    this.#sent.delete(number - 8);
    return number;
  }

  beatCame(number: number, version: number): void {
    const sentAt = this.#sent.get(number);
    if (!this.#isShared || sentAt === undefined) return;
    this.#sent.delete(number);
    if (version > this.#applied) this.#gap(version);
    this.#until = Math.max(this.#until, sentAt + this.#options.leaseMs);
  }

  /** A message with its version. The caller applies the message afterwards. */
  messageCame(version: number): void {
    if (!this.#isShared || version <= this.#applied) return;
    if (version === this.#applied + 1) this.#applied = version;
    else this.#gap(version);
  }

  #gap(version: number): void {
    this.#applied = version;
    this.#options.drain('gap');
  }
}
