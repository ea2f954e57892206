/** The oracle's view of one user, without k6: received events, the head at the end, and events after that. */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { changeEvents } from '../../k6/lib/stream.js';
import { events } from '../../src/protocol/events.ts';

// what the k6 program brings along, as far as the oracle uses it
vi.mock('k6/execution', () => ({ default: { instance: { currentTestRunDuration: 0 } } }));
vi.mock('k6/metrics', () => {
  class Metric {
    add(): void {}
  }
  return { Counter: Metric, Rate: Metric, Trend: Metric };
});

/** As much of `k6/lib/oracle.js` as is used here; its own types need the globals of k6, which are not those of Node. */
interface Witness {
  readonly found: Readonly<Record<'lost' | 'doubled' | 'reordered' | 'unrecovered', number>>;
  joined(room: { id: string; seq: number; rev: number }): void;
  live(message: { room: string; seq: number; rev: number; stamp: string }, at: number): void;
  changed(room: string, rev: number): void;
  settle(client: unknown): Promise<void>;
  closed(): void;
}
const oracle = '../../k6/lib/oracle.js';
const { Witness: Witness_ } = (await import(oracle)) as { Witness: new (options: object) => Witness };

const room = 'r';
const none = { lost: 0, doubled: 0, reordered: 0, unrecovered: 0 };

/** A connection whose room has these numbers, and which gets nothing more by a pull. */
function clientAt(seq: number, rev: number): unknown {
  return {
    ready: true,
    inSync: true,
    pull: () => undefined,
    persist: () => Promise.resolve({ rev, messages: seq === 0 ? [] : [{ seq }] }),
  };
}

describe('a witness', () => {
  let witness: Witness;
  const receive = (seq: number, rev = seq): void => witness.live({ room, seq, rev, stamp: '' }, 0);
  beforeEach(() => {
    witness = new Witness_({ run: 'x', lateMs: 1000, sample: 1, settleMs: 0 });
    witness.joined({ id: room, seq: 0, rev: 0 });
  });

  it('takes edits, reactions and the like for what they are, and no gap', async () => {
    receive(1);
    witness.changed(room, 2);
    witness.changed(room, 3);
    receive(2, 4);
    await witness.settle(clientAt(2, 4));
    expect(witness.found).toEqual(none);
  });

  it('finds an edit that did not come, as the last and in between', async () => {
    receive(1);
    receive(2, 3);
    await witness.settle(clientAt(2, 4));
    expect(witness.found).toEqual({ ...none, lost: 2 });
  });

  it('finds the last message of another, sent after its own', async () => {
    receive(1);
    receive(2);
    await witness.settle(clientAt(3, 3));
    expect(witness.found).toEqual({ ...none, lost: 1, unrecovered: 1 });
  });

  it('reports at a second check only later faults', async () => {
    receive(1);
    await witness.settle(clientAt(2, 2));
    const first = { ...none, lost: 1, unrecovered: 1 };
    expect(witness.found).toEqual(first);
    await witness.settle(clientAt(2, 2));
    expect(witness.found).toEqual(first);
    await witness.settle(clientAt(3, 3));
    expect(witness.found).toEqual({ ...none, lost: 2, unrecovered: 2 });
  });

  it('reports at the close the faults after the check, and counts no event past the head as one', async () => {
    receive(1);
    receive(2);
    // the head was read before the second came
    await witness.settle(clientAt(1, 1));
    receive(3);
    receive(3);
    receive(5);
    witness.closed();
    expect(witness.found).toEqual({ ...none, lost: 1, doubled: 1 });
  });
});

it('takes all events that are numbered by the rev of their room', () => {
  const numbered = Object.entries(events).filter(([, { data }]) => 'rev' in data.shape);
  expect(numbered.map(([name]) => name).sort()).toEqual(['message', ...changeEvents].sort());
});
