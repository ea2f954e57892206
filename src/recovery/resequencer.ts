/**
 * Delivers the events of each room with connections here in rev order. The next rev is delivered. An older rev is dropped: a
 * repeated commit, or an event that backfill delivered first. A rev that jumps is held.
 *
 * States of a room:
 * - *without a head*: no client has got a head, so no client expects a certain rev. Every newer event is delivered and a
 *   jump is no gap. The first event may be an old one, of a message that was sent again. The first head that a client gets
 *   leads to *in order*.
 * - *in order*: a rev that jumps, or a later head in Postgres, leads to *waiting*.
 * - *waiting*: a gap is open. Two nodes that write to a room overtake each other, so the missing events may come within a
 *   moment; they lead back to *in order*. The end of the moment leads to *reading*.
 * - *reading*: backfill reads the missing events from Postgres. Its result leads back to *in order*. A failed read is
 *   repeated with a growing wait, as long as the room has connections.
 *
 * The resequencer as a whole is *delivering* or *suspended*. A lapsed lease or `suspend` leads to suspended: events with a
 * rev are dropped and backfilled later, events without a rev are held. `release` leads back to delivering.
 *
 * Held events are bounded for a room and for all rooms. Over the bound a room drops what it holds: Postgres has it too.
 */
import type { RoomEvent } from '../fanout/fanout.ts';
import { systemClock, type Clock } from '../jobs/clock.ts';
import type { Backfilled } from './backfill.ts';
import { debugLog } from '../telemetry/debug-log.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics, Repair } from '../telemetry/metrics.ts';
import type { RoomFacts } from '../protocol/inspection.ts';
import { HeldEvents } from './held-events.ts';
import { defaultLimits, type ResequencerLimits } from './resequencer-limits.ts';
import { blank, unknown, type Fill, type Gap, type RoomState } from './room-state.ts';
import type { WorkQueue } from './work-queue.ts';

export interface ResequencerParts {
  /** Writes an event to the room's connections. */
  readonly deliver: (event: RoomEvent) => void;
  /** Rooms with a gap to read from Postgres. The backfiller reads them. */
  readonly gaps: WorkQueue;
  /** Whether events of other nodes arrive. If not, no missing event is on its way. */
  readonly reachable: () => boolean;
  /** Whether the memberships that this node knows are recent enough to deliver by. */
  readonly mayDeliver: () => boolean;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly clock?: Clock;
}

const maxBackoffMs = 5000;

export class Resequencer {
  readonly #parts: ResequencerParts;
  readonly #limits: ResequencerLimits;
  readonly #rooms = new Map<string, RoomState>();
  readonly #gaps: WorkQueue;
  readonly #debug: Log | undefined;
  readonly #held: HeldEvents;
  readonly #clock: Clock;
  /** Events without a rev that came while suspended. */
  #suspended: RoomEvent[] | undefined = undefined;

  constructor(parts: ResequencerParts, limits: Partial<ResequencerLimits> = {}) {
    this.#parts = parts;
    this.#limits = { ...defaultLimits, ...limits };
    this.#held = new HeldEvents(this.#limits);
    this.#gaps = parts.gaps;
    this.#clock = parts.clock ?? systemClock;
    this.#debug = debugLog(parts.log);
    parts.metrics.watchRepair({ fills: () => this.#gaps.size, held: () => this.#held.count });
  }

  has(room: string): boolean {
    return this.#rooms.has(room);
  }

  /** The rev up to which the room's events were delivered. Undefined: it is not known, or delivery is suspended. */
  head(room: string): number | undefined {
    const delivered = this.#suspended === undefined ? this.#rooms.get(room)?.delivered : undefined;
    return delivered === unknown ? undefined : delivered;
  }

  rooms(): string[] {
    return [...this.#rooms.keys()];
  }

  /** For `parley inspect`. @returns undefined if no connection of this node subscribes to the room. */
  stateOf(room: string): Pick<RoomFacts, 'head' | 'gap' | 'held'> | undefined {
    const state = this.#rooms.get(room);
    if (state === undefined) return undefined;
    const { delivered, gap } = state;
    return {
      head: delivered === unknown ? null : delivered,
      gap: gap === undefined ? null : { wanted: gap.wanted, failures: gap.failures },
      held: gap?.held.events.length ?? 0,
    };
  }

  /** The highest rev of each room that was delivered here or that a client got as a head; 0 if there is none. */
  known(): Map<string, number> {
    return new Map(
      Array.from(this.#rooms, ([room, { delivered, highestHead }]) => [room, Math.max(0, delivered, highestHead)]),
    );
  }

  /** The known revs belong to another history: each room begins again, without a head. */
  forget(): void {
    for (const [room, state] of this.#rooms) {
      this.#closeGap(state);
      this.#gaps.remove(room);
      this.#rooms.set(room, blank());
    }
  }

  /** The room has connections here. */
  add(room: string): void {
    this.#rooms.set(room, blank());
  }

  remove(room: string): void {
    const state = this.#rooms.get(room);
    if (state === undefined) return;
    this.#closeGap(state);
    this.#rooms.delete(room);
    this.#gaps.remove(room);
  }

  stop(): void {
    for (const room of this.#rooms.keys()) this.remove(room);
  }

  /** The path of every event: one lookup, and no allocation while events come in order. */
  receive(event: RoomEvent): void {
    const state = this.#rooms.get(event.room);
    if (state === undefined) return;
    const { rev } = event;
    if (this.isSuspended()) return this.#suspend(event);
    if (rev === undefined) return this.#parts.deliver(event);
    if (rev === state.delivered + 1) {
      state.delivered = rev;
      this.#parts.deliver(event);
      if (state.gap !== undefined) this.#drain(state, state.gap);
      return;
    }
    if (rev <= state.delivered) {
      this.#debug?.debug({ room: event.room, rev, reason: 'older' }, 'Dropped an event: its rev was delivered before.');
      return;
    }
    if (state.headGiven) {
      this.#hold(state, event, rev);
    } else {
      state.start = rev - 1;
      state.delivered = rev;
      this.#parts.deliver(event);
    }
  }

  /**
   * A subscribed connection of the room got this head, and expects every event after it.
   * @returns the head to pull up to, if some of these events were delivered before
   */
  noteHead(room: string, head: number): number | undefined {
    const state = this.#rooms.get(room);
    if (state === undefined) return undefined;
    const { headGiven } = state;
    state.headGiven = true;
    if (head > state.highestHead) state.highestHead = head;
    if (!headGiven && head > state.delivered) {
      state.delivered = state.start = head;
    } else if (head < state.start) {
      // several connections join at once, so heads may come in another order than they were read in
      if (state.delivered > state.start) return state.delivered;
      const missing = state.start;
      state.delivered = state.start = head;
      this.#expect(room, state, missing, 'gap', this.#limits.shortGraceMs);
    }
    return undefined;
  }

  /** Postgres has this head. Events up to it are backfilled unless they come within the grace. */
  compare(room: string, head: number, reason: Repair, graceMs: number): void {
    const state = this.#rooms.get(room);
    if (state === undefined) return;
    if (head <= state.delivered) return;
    if (state.headGiven) this.#expect(room, state, head, reason, graceMs);
    else state.delivered = state.start = head;
  }

  /** The room may have missed events up to now, for its subscription stands only since now. */
  recheck(room: string): void {
    const state = this.#rooms.get(room);
    if (state?.headGiven !== true) return;
    this.#expect(room, state, state.delivered + 1, 'heads', 0);
  }

  /** Nothing is delivered from now on. Events with a rev are dropped; comparing heads finds them afterwards. */
  suspend(): void {
    this.#suspended ??= [];
    this.#gaps.pause();
  }

  /** Whether nothing may be delivered now. */
  isSuspended(): boolean {
    if (this.#suspended === undefined && !this.#parts.mayDeliver()) this.suspend();
    return this.#suspended !== undefined;
  }

  release(): void {
    const events = this.#suspended ?? [];
    this.#suspended = undefined;
    for (const event of events) this.#guarded(event);
    this.#gaps.resume();
  }

  /** The read of a room's gap begins. @returns undefined if the gap has closed meanwhile */
  beginFill(room: string): Fill | undefined {
    const state = this.#rooms.get(room);
    const gap = state?.gap;
    if (state === undefined || gap === undefined) return undefined;
    gap.reading = true;
    return { room, from: state.delivered, wanted: gap.wanted, gap, state };
  }

  /** @param backfill the events after `from`; undefined if the room was deleted */
  endFill({ room, from, wanted, gap, state }: Fill, backfill: Backfilled | undefined): void {
    gap.reading = false;
    if (state.gap !== gap) return; // the room lost its connections meanwhile
    // a client got a lower head meanwhile: this page lacks the events in between
    if (this.isSuspended() || state.delivered < from) return this.#gaps.add(room);
    gap.failures = 0;
    this.#fillIn(room, state, gap, backfill ?? { head: wanted, events: [], complete: true }, wanted);
  }

  failFill({ room, gap, state }: Fill, error: unknown): void {
    gap.reading = false;
    if (state.gap !== gap) return;
    const waitMs = Math.min(maxBackoffMs, 100 * 2 ** Math.min(10, gap.failures++)) * (0.5 + Math.random() / 2);
    gap.timer = this.#clock.after(waitMs, () => this.#due(room, gap));
    this.#parts.metrics.repairFailures.inc({ what: 'events' });
    if (gap.failures === 1)
      this.#parts.log.warn(
        { err: error, room },
        'Could not backfill a room from Postgres; retrying. Its later events are held until then.',
      );
  }

  #suspend(event: RoomEvent): void {
    const { room, rev } = event;
    if (rev !== undefined) {
      this.#debug?.debug(
        { room, rev, reason: 'suspended' },
        'Dropped an event: delivery is suspended. Backfill reads it later.',
      );
      return;
    }
    const suspended = (this.#suspended ??= []);
    if (suspended.length < this.#limits.suspendedEvents) {
      suspended.push(event);
      this.#debug?.debug({ room, event: event.event, reason: 'suspended' }, 'Held an event: delivery is suspended.');
    } else {
      this.#parts.metrics.heldDropped.inc();
      this.#debug?.debug(
        { room, event: event.event, reason: 'limit' },
        'Dropped an event: too many are held while delivery is suspended.',
      );
    }
  }

  get #grace(): number {
    return this.#parts.reachable() ? this.#limits.graceMs : this.#limits.shortGraceMs;
  }

  #hold(state: RoomState, event: RoomEvent, rev: number): void {
    const { room } = event;
    const { held } = this.#expect(room, state, rev, 'gap', this.#grace);
    const result = this.#held.add(held, event, rev);
    if (result === 'held') {
      this.#debug?.debug({ room, rev, reason: 'gap' }, 'Held an event: an earlier rev of the room is missing.');
    } else if (result === 'duplicate') {
      this.#debug?.debug({ room, rev, reason: result }, 'Dropped an event: the same rev is held already.');
    } else {
      const events = this.#held.release(held).length + 1;
      this.#parts.metrics.heldDropped.inc(events);
      this.#debug?.debug(
        { room, rev, events, reason: result },
        'Dropped the held events of a room: they are over a limit. Backfill reads them.',
      );
    }
  }

  /** A rev after the delivered ones exists. If it does not come in time, backfill reads it. */
  #expect(room: string, state: RoomState, rev: number, reason: Repair, graceMs: number): Gap {
    let { gap } = state;
    if (gap === undefined) {
      const opened: Gap = {
        reason,
        wanted: rev,
        held: { events: [], bytes: 0 },
        reading: false,
        failures: 0,
        timer: this.#clock.after(graceMs, () => this.#due(room, opened)),
      };
      state.gap = gap = opened;
    } else if (rev > gap.wanted) {
      gap.wanted = rev;
    }
    return gap;
  }

  #due(room: string, gap: Gap): void {
    gap.timer = undefined;
    this.#gaps.add(room);
  }

  /** Delivers the held events that come next. Closes the gap when nothing is missing any more. */
  #drain(state: RoomState, gap: Gap): void {
    let taken = 0;
    for (const event of gap.held.events) {
      const rev = event.rev ?? 0;
      if (rev > state.delivered + 1) break;
      taken++;
      if (rev <= state.delivered) {
        this.#debug?.debug(
          { room: event.room, rev, reason: 'older' },
          'Dropped a held event: its rev was delivered before.',
        );
        continue;
      }
      state.delivered = rev;
      this.#guarded(event);
    }
    if (taken > 0) this.#held.release(gap.held, taken);
    if (state.delivered >= gap.wanted && !gap.reading) this.#closeGap(state);
  }

  #fillIn(room: string, state: RoomState, gap: Gap, backfill: Backfilled, wanted: number): void {
    const now = Date.now();
    for (const event of backfill.events) {
      // events of this node's commits may have come during the read
      if (event.rev <= state.delivered) continue;
      state.delivered = event.rev;
      this.#guarded(event);
      this.#debug?.debug({ room, rev: event.rev, reason: gap.reason }, 'Backfilled an event from Postgres.');
      this.#parts.metrics.repaired.inc({ reason: gap.reason });
      this.#parts.metrics.repairSeconds.observe(Math.max(0, now - event.at) / 1000);
    }
    if (backfill.complete) {
      if (backfill.head > state.delivered) state.delivered = backfill.head;
      // `wanted` was known before the read, so a rev between the read's head and `wanted` does not exist
      if (backfill.head < wanted) {
        const beyond = gap.held.events.findIndex(({ rev }) => (rev ?? 0) > wanted);
        const events = this.#held.release(gap.held, beyond === -1 ? undefined : beyond).length;
        if (events > 0)
          this.#debug?.debug(
            { room, rev: wanted, events, reason: 'beyond' },
            'Dropped held events: their revs are beyond the head in Postgres.',
          );
        if (gap.wanted === wanted) gap.wanted = state.delivered;
      }
    }
    this.#drain(state, gap);
    if (state.gap !== gap) return;
    if (!backfill.complete) this.#gaps.add(room);
    else gap.timer = this.#clock.after(this.#grace, () => this.#due(room, gap));
  }

  /** A fault in one event is counted and logged. The other events are delivered. */
  #guarded(event: RoomEvent): void {
    try {
      this.#parts.deliver(event);
    } catch (error) {
      this.#parts.metrics.internalErrors.inc({ where: 'delivery' });
      this.#parts.log.error({ err: error }, 'Could not deliver an event; its recipients miss it until they sync.');
    }
  }

  #closeGap(state: RoomState): void {
    const { gap } = state;
    if (gap === undefined) return;
    gap.timer?.cancel();
    const dropped = this.#held.release(gap.held);
    const room = dropped[0]?.room;
    if (room !== undefined)
      this.#debug?.debug(
        { room, events: dropped.length, reason: 'vacated' },
        'Dropped the held events of a room: the room or its history ended here.',
      );
    state.gap = undefined;
  }
}
