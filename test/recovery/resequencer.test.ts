/** The resequencer, as a table of received and delivered events. */
import { Backfiller, createGaps } from '../../src/recovery/backfiller.ts';
import { beforeEach, describe, expect, it } from 'vitest';
import { Resequencer } from '../../src/recovery/resequencer.ts';
import type { ResequencerLimits } from '../../src/recovery/resequencer-limits.ts';
import type { RoomEvent } from '../../src/fanout/fanout.ts';
import type { Backfilled, BackfilledEvent } from '../../src/recovery/backfill.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { closedGate } from '../support/gate.ts';
import { silentLog } from '../support/messaging.ts';
import { ManualClock } from '../support/manual-clock.ts';

let clock: ManualClock;
beforeEach(() => {
  clock = new ManualClock();
});
const pass = (ms: number): Promise<void> => clock.pass(ms);

/** Lets time pass until the condition holds. */
async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let steps = 0; !(await holds()); steps++) {
    if (steps > 10_000) throw new Error(`It did not come to this: ${what}.`);
    await pass(1);
  }
}

function event(rev: number, room = 'a', json = '{}'): RoomEvent {
  return { to: 'room', room, event: 'message', rev, json };
}

const signal: RoomEvent = { to: 'room', room: 'a', event: 'signal', json: '{}' };

interface Rig {
  readonly order: Resequencer;
  /** The delivered events: their revs, or the names of events without a rev. */
  readonly out: (number | string)[];
  /** Reads of Postgres: the room and the rev after which. */
  readonly reads: [string, number][];
  /** The content of Postgres. */
  stored: { head: number; revs: number[]; page?: number } | Error | undefined;
  /** While set, reads wait for it. */
  gate: Promise<void> | undefined;
  /** Whether events of other nodes come. */
  reachable: boolean;
  mayDeliver: boolean;
  count(series: string): Promise<number>;
}

function rig({ atOnce, ...limits }: Partial<ResequencerLimits> & { atOnce?: number } = {}): Rig {
  const out: (number | string)[] = [];
  const reads: [string, number][] = [];
  const metrics = new Metrics();
  const gaps = createGaps(atOnce);
  const made: Rig = {
    out,
    reads,
    stored: undefined,
    gate: undefined,
    reachable: true,
    mayDeliver: true,
    order: new Resequencer(
      {
        deliver: (one) => void out.push(one.rev ?? one.event),
        gaps,
        reachable: () => made.reachable,
        mayDeliver: () => made.mayDeliver,
        metrics,
        log: silentLog,
        clock,
      },
      { graceMs: 5, shortGraceMs: 5, ...limits },
    ),
    async count(series) {
      const line = (await metrics.text()).split('\n').find((text) => text.startsWith(series));
      return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(' ')));
    },
  };
  new Backfiller({
    gaps,
    resequencer: made.order,
    async read(room, rev): Promise<Backfilled | undefined> {
      reads.push([room, rev]);
      const { stored } = made;
      await made.gate;
      if (stored instanceof Error) throw stored;
      if (stored === undefined) return undefined;
      const { head, revs, page = 100 } = stored;
      const rest = revs.filter((one) => one > rev);
      const events = rest.slice(0, page).map((one): BackfilledEvent => ({ ...event(one, room), rev: one, at: 0 }));
      return { head, events, complete: rest.length <= page };
    },
  }).start();
  made.order.add('a');
  return made;
}

describe('a room without a head', () => {
  it('does not backfill after an old event that came first: a message that was sent again', async () => {
    const { order, out, reads } = rig();
    order.receive(event(7));
    order.receive(event(5000));
    order.receive(event(5001));
    expect(order.noteHead('a', 5000)).toBeUndefined();
    order.receive(event(5002));
    order.recheck('a');
    await pass(30);
    expect(out.slice(0, 4)).toEqual([7, 5000, 5001, 5002]);
    expect(reads).toEqual([['a', 5002]]);
  });

  it('begins at the given head, if that is after the received events', async () => {
    const { order, out, reads } = rig();
    order.receive(event(7));
    expect(order.noteHead('a', 5000)).toBeUndefined();
    order.receive(event(5000));
    order.receive(event(5001));
    await pass(30);
    expect([out, reads]).toEqual([[7, 5001], []]);
  });

  it('lets a client pull that got a head before the last jump', () => {
    const { order } = rig();
    order.receive(event(4));
    order.receive(event(9));
    expect(order.noteHead('a', 6)).toBe(9);
  });

  it('takes the head that Postgres has, and reads nothing', async () => {
    const { order, out, reads } = rig();
    order.receive(event(4));
    order.compare('a', 9, 'heads', 0);
    order.recheck('a');
    await pass(30);
    expect([out, reads, order.head('a')]).toEqual([[4], [], 9]);
  });
});

describe('the order of a room', () => {
  it('sends what is next, drops what is older, and passes what has no rev', () => {
    const { order, out } = rig();
    order.noteHead('a', 4);
    for (const one of [event(4), event(5), event(5), signal, event(6), event(3)]) order.receive(one);
    expect(out).toEqual([5, 'signal', 6]);
  });

  it('begins with the first event if no head was given', () => {
    const { order, out } = rig();
    for (const one of [event(7), event(8), event(6)]) order.receive(one);
    expect(out).toEqual([7, 8]);
  });

  it('ignores rooms that have no connection here', () => {
    const { order, out } = rig();
    order.receive(event(1, 'b'));
    order.remove('a');
    order.receive(event(1));
    expect(out).toEqual([]);
  });

  it('reorders events that overtook each other, without a read', async () => {
    const { order, out, reads } = rig({ graceMs: 30 });
    order.noteHead('a', 0);
    for (const rev of [3, 2, 5, 5, 4, 1]) order.receive(event(rev));
    expect(out).toEqual([1, 2, 3, 4, 5]);
    order.receive(event(6));
    await pass(50);
    expect([out, reads]).toEqual([[1, 2, 3, 4, 5, 6], []]);
  });

  it('backfills missing events once, and delivers the held events after them', async () => {
    const made = rig();
    made.stored = { head: 5, revs: [2, 3, 4, 5] };
    made.order.noteHead('a', 1);
    for (const rev of [4, 5]) made.order.receive(event(rev));
    await until('all are out', () => made.out.length === 4);
    expect(made.out).toEqual([2, 3, 4, 5]);
    expect(made.reads).toEqual([['a', 1]]);
    expect(await made.count('parley_fanout_repaired_total{reason="gap"}')).toBe(4);
    made.order.receive(event(6));
    expect(made.out.at(-1)).toBe(6);
  });

  it('waits longer for events that may be on their way than for events that cannot be', async () => {
    const made = rig({ graceMs: 60_000 });
    made.stored = { head: 3, revs: [2, 3] };
    made.order.noteHead('a', 1);
    made.order.receive(event(3));
    made.order.add('b');
    // these events were delivered before the lower head was given
    made.order.noteHead('b', 3);
    made.order.noteHead('b', 1);
    await until('one is read', () => made.reads.length === 1);
    expect(made.reads).toEqual([['b', 1]]);
    made.order.receive(event(2));
    expect(made.out.slice(-2)).toEqual([2, 3]);

    made.reachable = false;
    made.stored = { head: 5, revs: [4, 5] };
    made.order.receive(event(5));
    await until('it is read', () => made.reads.length === 2);
    expect(made.reads[1]).toEqual(['a', 3]);
    made.order.stop();
  });

  it('takes revs with holes as they are when the read reached the head of its snapshot', async () => {
    const made = rig();
    made.stored = { head: 9, revs: [3, 8] };
    made.order.noteHead('a', 1);
    made.order.receive(event(9));
    await until('the read is done', () => made.out.length === 2);
    made.order.receive(event(10));
    expect(made.out).toEqual([3, 8, 10]);
  });

  it('reads page after page, and delivers live events that come meanwhile in their turn', async () => {
    const made = rig();
    const revs = Array.from({ length: 25 }, (_, n) => n + 1);
    made.stored = { head: 25, revs, page: 10 };
    made.order.noteHead('a', 0);
    made.order.receive(event(25));
    await until('all are out', () => made.out.length === 25);
    expect(made.out).toEqual(revs);
    expect(made.reads.map(([, after]) => after)).toEqual([0, 10, 20]);
  });

  it('does not deliver a live event twice that comes during the read', async () => {
    const made = rig();
    const gate = closedGate();
    made.gate = gate.opened;
    made.stored = { head: 3, revs: [1, 2, 3] };
    made.order.noteHead('a', 0);
    made.order.receive(event(3));
    await until('it reads', () => made.reads.length === 1);
    for (const rev of [1, 2, 4, 6]) made.order.receive(event(rev));
    expect(made.out).toEqual([1, 2, 3, 4]);
    made.stored = { head: 6, revs: [1, 2, 3, 4, 5, 6] };
    gate.open();
    await until('the second gap is filled too', () => made.out.length === 6);
    expect(made.out).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('tries a failed read again for as long as the room is occupied', async () => {
    const made = rig();
    made.stored = new Error('the database is unavailable');
    made.order.noteHead('a', 0);
    made.order.receive(event(2));
    await until('it was tried twice', () => made.reads.length >= 2);
    expect(await made.count('parley_fanout_repair_failures_total{what="events"}')).toBeGreaterThan(0);
    made.stored = { head: 2, revs: [1, 2] };
    await until('all are out', () => made.out.length === 2);
    expect(made.out).toEqual([1, 2]);
    made.stored = new Error('again');
    made.order.receive(event(5));
    made.order.remove('a');
    expect(await made.count('parley_fanout_held_events')).toBe(0);
  });

  it('forgets an event that was never stored', async () => {
    const made = rig();
    made.stored = { head: 3, revs: [1, 2, 3] };
    made.order.noteHead('a', 3);
    made.order.receive(event(1_000_000));
    await until(
      'the read is done',
      async () => made.reads.length > 0 && (await made.count('parley_fanout_fills')) === 0,
    );
    await until('nothing is held', async () => (await made.count('parley_fanout_held_events')) === 0);
    made.order.receive(event(4));
    expect(made.out).toEqual([4]);
    expect(made.reads).toHaveLength(1);
  });
});

describe('limits of held events', () => {
  it.each([
    ['events of a room', { heldEventsPerRoom: 10 }, '{}', 10],
    ['bytes of a room', { heldBytesPerRoom: 1000 }, 'x'.repeat(100), 10],
    ['bytes of all rooms', { heldBytes: 1000 }, 'x'.repeat(100), 10],
  ])('%s: at the limit they are kept, past it they are dropped and backfilled', async (_name, limits, json, kept) => {
    const made = rig({ graceMs: 60_000, ...limits });
    made.order.noteHead('a', 0);
    for (let rev = 2; rev < 2 + kept; rev++) made.order.receive(event(rev, 'a', json));
    expect(await made.count('parley_fanout_held_events')).toBe(kept);
    made.order.receive(event(2 + kept, 'a', json));
    expect(await made.count('parley_fanout_held_events')).toBe(0);
    expect(await made.count('parley_fanout_held_dropped_total')).toBe(kept + 1);
    made.order.stop();

    const again = rig(limits);
    const revs = Array.from({ length: kept + 2 }, (_, n) => n + 1);
    again.stored = { head: kept + 2, revs };
    again.order.noteHead('a', 0);
    for (const rev of revs.slice(1)) again.order.receive(event(rev, 'a', json));
    await until('all are out', () => again.out.length === revs.length);
    expect(again.out).toEqual(revs);
  });

  it('reads run up to the limit at once, and never twice at once for one room', async () => {
    const made = rig({ atOnce: 3 });
    const gate = closedGate();
    made.gate = gate.opened;
    made.stored = { head: 2, revs: [1, 2] };
    const rooms = Array.from({ length: 10 }, (_, n) => `room-${n}`);
    for (const room of rooms) {
      made.order.add(room);
      made.order.noteHead(room, 0);
      made.order.receive(event(2, room));
    }
    await pass(100);
    expect(made.reads).toHaveLength(3);
    expect(await made.count('parley_fanout_fills')).toBe(10);
    gate.open();
    await pass(100);
    expect(made.reads).toHaveLength(10);
  });
});

describe('heads that clients get', () => {
  it('a lower one that is noted later lowers the start, and the events in between are backfilled', async () => {
    const made = rig();
    made.stored = { head: 5, revs: [3, 4, 5] };
    expect(made.order.noteHead('a', 5)).toBeUndefined();
    made.order.receive(event(4));
    expect(made.order.noteHead('a', 2)).toBeUndefined();
    await until('the missing events are delivered', () => made.out.length === 3);
    expect(made.out).toEqual([3, 4, 5]);
  });

  it('a lower one during the read of a gap: that page begins too late, and the events before it are backfilled', async () => {
    const made = rig();
    const gate = closedGate();
    made.gate = gate.opened;
    made.stored = { head: 7, revs: [3, 4, 5, 6, 7] };
    made.order.noteHead('a', 5);
    made.order.receive(event(7));
    await until('it reads', () => made.reads.length === 1);
    expect(made.order.noteHead('a', 2)).toBeUndefined();
    gate.open();
    await until('all are out', () => made.out.length === 5);
    expect(made.out).toEqual([3, 4, 5, 6, 7]);
    expect(made.reads).toEqual([
      ['a', 5],
      ['a', 2],
    ]);
  });

  it('a lower one after events were delivered is answered with the head to pull up to', () => {
    const { order, out } = rig();
    order.noteHead('a', 5);
    order.receive(event(6));
    expect(order.noteHead('a', 5)).toBeUndefined();
    expect(order.noteHead('a', 7)).toBeUndefined();
    expect(order.noteHead('a', 4)).toBe(6);
    expect(out).toEqual([6]);
  });

  it('of Postgres show lost events, unless these come in time', async () => {
    const made = rig();
    made.stored = { head: 3, revs: [1, 2, 3] };
    made.order.noteHead('a', 1);
    made.order.compare('a', 2, 'heads', 30);
    made.order.receive(event(2));
    await pass(50);
    expect([made.out, made.reads]).toEqual([[2], []]);
    made.order.compare('a', 3, 'heads', 0);
    await pass(100);
    expect(await made.count('parley_fanout_repaired_total{reason="heads"}')).toBe(1);
    made.order.compare('a', 1, 'heads', 0);
    made.order.compare('nowhere', 1, 'heads', 0);
    await pass(20);
    expect(made.reads).toHaveLength(1);
  });
});

describe('while suspended', () => {
  it('nothing is delivered; afterwards events without a rev are, and heads show the others', async () => {
    const made = rig({ suspendedEvents: 2 });
    made.stored = { head: 2, revs: [1, 2] };
    made.order.noteHead('a', 0);
    made.order.suspend();
    made.order.receive(event(1));
    for (let i = 0; i < 3; i++) made.order.receive(signal);
    made.order.compare('a', 2, 'away', 0);
    await pass(20);
    expect([made.out, made.reads]).toEqual([[], []]);
    made.order.release();
    await pass(100);
    expect(made.out).toEqual(['signal', 'signal', 1, 2]);
    expect(await made.count('parley_fanout_held_dropped_total')).toBe(1);
  });

  it('a read that was running waits for the release', async () => {
    const made = rig();
    const gate = closedGate();
    made.gate = gate.opened;
    made.stored = { head: 2, revs: [1, 2] };
    made.order.noteHead('a', 0);
    made.order.receive(event(2));
    await pass(100);
    made.order.suspend();
    gate.open();
    await pass(20);
    expect(made.out).toEqual([]);
    made.order.release();
    await pass(100);
    expect(made.out).toEqual([1, 2]);
  });
});
