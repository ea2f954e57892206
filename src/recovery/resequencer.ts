/**
 * The order of events, for each room with connections here: the next rev goes out, an older one is dropped (it went out
 * before: a commit that was tried again, an event that repair was quicker with), and one that jumps is held.
 *
 * Of a room:
 * untold (nobody was told a head) → (a head told) in order. Until then nobody counts on anything: what comes goes out, and
 * a jump is none. A first event may be an old one, of a message that somebody sent again: from there on nothing is missing.
 * in order → (a rev jumps, or Postgres has a later head) waiting, a moment, for two nodes that write to a room overtake
 * each other → (they came) in order, or (the moment is over) reading the missing ones from Postgres → in order.
 * A read that fails is tried again, later each time, for as long as the room has connections.
 *
 * What is held is bounded, for a room and for all; over it what a room holds is let go, for it is in Postgres too.
 */
import type { RoomEvent } from '../fanout/fanout.ts';
import type { Backfilled } from './backfill.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics, Repair } from '../telemetry/metrics.ts';
import type { RoomFacts } from '../protocol/inspection.ts';
import type { WorkQueue } from './work-queue.ts';

export interface ResequencerParts {
  /** Writes an event to the room's connections. */
  readonly deliver: (event: RoomEvent) => void;
  /** Rooms with a gap that is to be read from Postgres; Backfiller reads. */
  readonly gaps: WorkQueue;
  /** Whether events of other nodes come: if not, none is on its way. */
  readonly reachable: () => boolean;
  /** Whether what is known of memberships is recent enough; if not, whoever answers has the order suspended. */
  readonly mayDeliver: () => boolean;
  readonly metrics: Metrics;
  readonly log: Log;
}

export interface ResequencerLimits {
  /** How long those are waited for that were overtaken on their way from other nodes. */
  readonly graceMs: number;
  /** And where what is missing is hardly on its way: the others are not heard, or it went by before a head was told. */
  readonly shortGraceMs: number;
  readonly heldEventsPerRoom: number;
  readonly heldBytesPerRoom: number;
  /** Over all rooms. */
  readonly heldBytes: number;
  /** Events without a rev that are kept while everything is suspended. */
  readonly suspendedEvents: number;
}

/**
 * The grace: on a full machine (bench/cluster.ts: nodes, Redis, Postgres and the load on 2 processors) 35 to 98 of 20,000
 * events came more than 20 ms behind one that overtook them, and were read from Postgres in vain. A longer grace costs something only where
 * an event is truly lost while Redis is up: what follows it in its room is held so much longer, and past 1,000 held events (a
 * room with 10,000 a second) they are read with it. It is as long as repair allows an event to be on its way (anti-entropy.ts).
 */
const defaults: ResequencerLimits = {
  graceMs: 100,
  shortGraceMs: 20,
  heldEventsPerRoom: 1000,
  heldBytesPerRoom: 1024 * 1024,
  heldBytes: 32 * 1024 * 1024,
  suspendedEvents: 1000,
};

interface RoomState {
  /** The rev up to which events went out. */
  delivered: number;
  /** Up to here nothing was sent: whoever was told a head below it has missed something. */
  start: number;
  /** Somebody was told a head. */
  told: boolean;
  /** The highest head that a client was given. */
  given: number;
  gap: Gap | undefined;
}

interface Gap {
  readonly reason: Repair;
  /** The furthest rev that is known to exist. */
  wanted: number;
  /** In rev order, all of them beyond the next rev. */
  held: RoomEvent[];
  heldBytes: number;
  reading: boolean;
  failures: number;
  /** Waits for overtakers, or for another try. */
  timer: NodeJS.Timeout | undefined;
}

/** A read of a gap that is under way. */
export interface Fill {
  readonly room: string;
  /** Events after this rev are wanted. */
  readonly from: number;
  readonly wanted: number;
  readonly gap: Gap;
  readonly state: RoomState;
}

const unknown = -1;
const blank = (): RoomState => ({ delivered: unknown, start: unknown, told: false, given: unknown, gap: undefined });
const maxBackoffMs = 5000;

export class Resequencer {
  readonly #parts: ResequencerParts;
  readonly #limits: ResequencerLimits;
  readonly #rooms = new Map<string, RoomState>();
  readonly #gaps: WorkQueue;
  #heldBytes = 0;
  #heldEvents = 0;
  /** Events without a rev that came while suspended. */
  #suspended: RoomEvent[] | undefined = undefined;

  constructor(parts: ResequencerParts, limits: Partial<ResequencerLimits> = {}) {
    this.#parts = parts;
    this.#limits = { ...defaults, ...limits };
    this.#gaps = parts.gaps;
    parts.metrics.watchRepair({ fills: () => this.#gaps.size, held: () => this.#heldEvents });
  }

  has(room: string): boolean {
    return this.#rooms.has(room);
  }

  /** The rev up to which the room's events went out; undefined where that is not known, or nothing goes out now. */
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
      held: gap?.held.length ?? 0,
    };
  }

  /** The highest rev of each room that was delivered here or that a client was given; 0 where there is none. */
  known(): Map<string, number> {
    return new Map(Array.from(this.#rooms, ([room, { delivered, given }]) => [room, Math.max(0, delivered, given)]));
  }

  /** The revs known here are of another history: each room begins anew, as one whose head no client was given. */
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

  /** The path of every event: one look-up, and nothing made, as long as they come in order. */
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
    if (rev <= state.delivered) return;
    if (state.told) {
      this.#hold(state, event, rev);
    } else {
      state.start = rev - 1;
      state.delivered = rev;
      this.#parts.deliver(event);
    }
  }

  /**
   * A connection of the room was told this head, after it had been subscribed: it counts on every event beyond it.
   * @returns the head that it has to pull to, if some of them went by before it came.
   */
  noteHead(room: string, head: number): number | undefined {
    const state = this.#rooms.get(room);
    if (state === undefined) return undefined;
    const { told } = state;
    state.told = true;
    if (head > state.given) state.given = head;
    if (!told && head > state.delivered) {
      state.delivered = state.start = head;
    } else if (head < state.start) {
      // heads are told in another order than they were read in: several connections join at once
      if (state.delivered > state.start) return state.delivered;
      const missing = state.start;
      state.delivered = state.start = head;
      this.#expect(room, state, missing, 'gap', this.#limits.shortGraceMs);
    }
    return undefined;
  }

  /** Postgres has this head: what is missing up to it is read, unless it comes within the grace. */
  compare(room: string, head: number, reason: Repair, graceMs: number): void {
    const state = this.#rooms.get(room);
    if (state === undefined) return;
    if (head <= state.delivered) return;
    if (state.told) this.#expect(room, state, head, reason, graceMs);
    else state.delivered = state.start = head;
  }

  /** The room may have missed events up to now, for its subscription stands only since now. */
  recheck(room: string): void {
    const state = this.#rooms.get(room);
    if (state?.told !== true) return;
    this.#expect(room, state, state.delivered + 1, 'heads', 0);
  }

  /** From now on nothing goes out. Events with a rev are dropped, and found by their rooms' heads afterwards. */
  suspend(): void {
    this.#suspended ??= [];
    this.#gaps.pause();
  }

  /** Whether nothing may go out now. */
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

  /** The read of a room's gap begins. @returns undefined: the gap has closed meanwhile */
  beginFill(room: string): Fill | undefined {
    const state = this.#rooms.get(room);
    const gap = state?.gap;
    if (state === undefined || gap === undefined) return undefined;
    gap.reading = true;
    return { room, from: state.delivered, wanted: gap.wanted, gap, state };
  }

  /** @param backfill the events after `from`; undefined for a room that is no more */
  endFill({ room, from, wanted, gap, state }: Fill, backfill: Backfilled | undefined): void {
    gap.reading = false;
    if (state.gap !== gap) return; // the room was left meanwhile
    // a client was given a lower head meanwhile: this page lacks what lies between
    if (this.isSuspended() || state.delivered < from) return this.#gaps.add(room);
    gap.failures = 0;
    this.#fillIn(room, state, gap, backfill ?? { head: wanted, events: [], complete: true }, wanted);
  }

  failFill({ room, gap, state }: Fill, error: unknown): void {
    gap.reading = false;
    if (state.gap !== gap) return;
    const waitMs = Math.min(maxBackoffMs, 100 * 2 ** Math.min(10, gap.failures++)) * (0.5 + Math.random() / 2);
    gap.timer = setTimeout(() => this.#due(room, gap), waitMs);
    this.#parts.metrics.repairFailures.inc({ what: 'events' });
    if (gap.failures === 1) this.#parts.log.warn({ err: error }, 'missing events could not be read; it is tried again');
  }

  #suspend(event: RoomEvent): void {
    if (event.rev !== undefined) return;
    const suspended = (this.#suspended ??= []);
    if (suspended.length < this.#limits.suspendedEvents) suspended.push(event);
    else this.#parts.metrics.heldDropped.inc();
  }

  get #grace(): number {
    return this.#parts.reachable() ? this.#limits.graceMs : this.#limits.shortGraceMs;
  }

  #hold(state: RoomState, event: RoomEvent, rev: number): void {
    const gap = this.#expect(event.room, state, rev, 'gap', this.#grace);
    const { held } = gap;
    let at = held.length;
    while (at > 0 && (held[at - 1]?.rev ?? 0) > rev) at--;
    if (held[at - 1]?.rev === rev) return;
    const bytes = event.json.length;
    const { heldEventsPerRoom, heldBytesPerRoom, heldBytes } = this.#limits;
    if (
      held.length >= heldEventsPerRoom ||
      gap.heldBytes + bytes > heldBytesPerRoom ||
      this.#heldBytes + bytes > heldBytes
    ) {
      this.#parts.metrics.heldDropped.inc(held.length + 1);
      this.#letGo(gap);
      return;
    }
    held.splice(at, 0, event);
    gap.heldBytes += bytes;
    this.#heldBytes += bytes;
    this.#heldEvents++;
  }

  /** There is a rev beyond what was delivered: if it does not come by itself in time, it is read. */
  #expect(room: string, state: RoomState, rev: number, reason: Repair, graceMs: number): Gap {
    let { gap } = state;
    if (gap === undefined) {
      const opened: Gap = {
        reason,
        wanted: rev,
        held: [],
        heldBytes: 0,
        reading: false,
        failures: 0,
        timer: setTimeout(() => this.#due(room, opened), graceMs),
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

  /** Sends what follows what went out; ends the gap when nothing is missing any more. */
  #drain(state: RoomState, gap: Gap): void {
    const { held } = gap;
    let sent = 0;
    for (const event of held) {
      const rev = event.rev ?? 0;
      if (rev > state.delivered + 1) break;
      sent++;
      if (rev <= state.delivered) continue;
      state.delivered = rev;
      this.#guarded(event);
    }
    if (sent > 0) this.#drop(gap, held.splice(0, sent));
    if (state.delivered >= gap.wanted && !gap.reading) this.#closeGap(state);
  }

  #fillIn(room: string, state: RoomState, gap: Gap, backfill: Backfilled, wanted: number): void {
    const now = Date.now();
    for (const event of backfill.events) {
      // events of an own commit may have come while this was read
      if (event.rev <= state.delivered) continue;
      state.delivered = event.rev;
      this.#guarded(event);
      this.#parts.metrics.repaired.inc({ reason: gap.reason });
      this.#parts.metrics.repairSeconds.observe(Math.max(0, now - event.at) / 1000);
    }
    if (backfill.complete) {
      if (backfill.head > state.delivered) state.delivered = backfill.head;
      // what was known before the read is in it, so a rev beyond its head does not exist
      if (backfill.head < wanted) {
        const beyond = gap.held.findIndex(({ rev }) => (rev ?? 0) > wanted);
        this.#drop(gap, gap.held.splice(0, beyond === -1 ? gap.held.length : beyond));
        if (gap.wanted === wanted) gap.wanted = state.delivered;
      }
    }
    this.#drain(state, gap);
    if (state.gap !== gap) return;
    if (!backfill.complete) this.#gaps.add(room);
    else gap.timer = setTimeout(() => this.#due(room, gap), this.#grace);
  }

  /** A fault in one event is counted where events are written, and does not keep the others back. */
  #guarded(event: RoomEvent): void {
    try {
      this.#parts.deliver(event);
    } catch (error) {
      this.#parts.metrics.internalErrors.inc({ where: 'delivery' });
      this.#parts.log.error({ err: error }, 'an event could not be delivered');
    }
  }

  #closeGap(state: RoomState): void {
    const { gap } = state;
    if (gap === undefined) return;
    clearTimeout(gap.timer);
    this.#letGo(gap);
    state.gap = undefined;
  }

  #letGo(gap: Gap): void {
    this.#drop(gap, gap.held.splice(0));
  }

  #drop(gap: Gap, events: readonly RoomEvent[]): void {
    const bytes = events.reduce((sum, { json }) => sum + json.length, 0);
    gap.heldBytes -= bytes;
    this.#heldBytes -= bytes;
    this.#heldEvents -= events.length;
  }
}
