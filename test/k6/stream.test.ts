import { describe, expect, it } from 'vitest';
import { Ledger } from '../../k6/lib/ledger.js';
import { Ranges } from '../../k6/lib/ranges.js';
import { Stream } from '../../k6/lib/stream.js';

/** `h5`: the head 5 came; a number: that change came. */
function outcomeOf(steps: readonly (number | string)[], end?: number) {
  const stream = new Stream();
  for (const step of steps) {
    if (typeof step === 'number') stream.take(step);
    else stream.begin(Number(step.slice(1)));
  }
  return [stream.lost(end), stream.doubled, stream.reordered];
}

describe('the changes of a room that one connection receives', () => {
  it.each([
    ['nothing of an empty room', ['h0'], 0, [0, 0, 0]],
    ['all in order', ['h5', 6, 7, 8], 8, [0, 0, 0]],
    ['changes before the head', [6, 7, 'h5', 8], 8, [0, 0, 0]],
    ['what the head includes already', ['h7', 6, 7, 8], 8, [0, 0, 0]],
    ['only what is behind the head, while earlier ones need not come', [4, 'h7', 8], 8, [0, 0, 0]],
    ['a gap', ['h5', 6, 8, 9], 9, [1, 0, 0]],
    ['a gap right behind the head', ['h5', 8], 8, [2, 0, 0]],
    ['a gap behind a head that comes late', [8, 'h5'], 8, [2, 0, 0]],
    ['a gap that a late head covers', [6, 9, 'h9', 10], 10, [0, 0, 0]],
    ['nothing of the last two', ['h5', 6], 8, [2, 0, 0]],
    ['the last two not, but the connection was cut', ['h5', 6], undefined, [0, 0, 0]],
    ['one twice', ['h5', 6, 7, 6], 7, [0, 1, 0]],
    ['the first twice', ['h5', 6, 6], 6, [0, 1, 0]],
    ['two the wrong way round', ['h5', 7, 6, 8], 8, [0, 0, 1]],
    ['one late and then again', ['h5', 7, 6, 6], 7, [0, 1, 1]],
  ] as const)('%s', (_, steps, end, expected) => {
    expect(outcomeOf(steps, end)).toEqual(expected);
  });

  it('counts a gap that is larger than what is kept', () => {
    expect(outcomeOf(['h0', 5_000_001], 5_000_001)).toEqual([5_000_000, 0, 0]);
  });
});

describe('a set of numbers as ranges', () => {
  it('joins what touches, in any order', () => {
    const ranges = new Ranges();
    for (const n of [5, 1, 3, 2, 9, 4, 9]) ranges.add(n);
    expect([ranges.reach(0), ranges.reach(5), ranges.missing(1, 10)]).toEqual([5, 5, 4]);
    expect([ranges.has(9), ranges.has(6)]).toEqual([true, false]);
    ranges.addRange(4, 12);
    expect([ranges.reach(0), ranges.missing(1, 12)]).toEqual([12, 0]);
  });

  it('agrees with a plain set', () => {
    const [ranges, plain] = [new Ranges(), new Set<number>()];
    for (let i = 0; i < 2000; i++) {
      const from = (i * 7919) % 997;
      const to = from + (i % 5) - 1;
      ranges.addRange(from, to);
      for (let n = from; n <= to; n++) plain.add(n);
      const low = (i * 31) % 900;
      const missing = Array.from({ length: 60 }, (_, k) => low + k).filter((n) => !plain.has(n)).length;
      expect(ranges.missing(low, low + 59)).toBe(missing);
    }
  });
});

const sent = (n: number, seq: number, again = false) => ({ id: `id${n}`, from: 'ann', n, seq, again });

describe('what was acknowledged, held against the history', () => {
  const judged = (acked: ReturnType<typeof sent>[], history: [string, number][]) => {
    const ledger = new Ledger();
    acked.forEach((one) => ledger.add(one));
    ledger.page(history.map(([id, seq]) => ({ id, seq })));
    return Object.values(ledger.judge());
  };

  it.each([
    [
      'all there',
      [sent(1, 5), sent(2, 7)],
      [
        ['id1', 5],
        ['x', 6],
        ['id2', 7],
      ],
      [2, 0, 0, 0],
    ],
    [
      'one is not there',
      [sent(1, 5), sent(2, 6)],
      [
        ['id1', 5],
        ['x', 6],
      ],
      [1, 1, 0, 0],
    ],
    [
      'one is there twice',
      [sent(1, 5)],
      [
        ['id1', 5],
        ['id1', 6],
      ],
      [1, 0, 1, 0],
    ],
    [
      'one is under another number',
      [sent(1, 5)],
      [
        ['x', 5],
        ['id1', 6],
      ],
      [1, 0, 0, 1],
    ],
    [
      'the history has a hole',
      [sent(1, 5)],
      [
        ['id1', 5],
        ['x', 8],
      ],
      [1, 2, 0, 0],
    ],
    [
      'a later send has an earlier number',
      [sent(1, 6), sent(2, 5)],
      [
        ['id2', 5],
        ['id1', 6],
      ],
      [2, 0, 0, 1],
    ],
    [
      'a repeated send may be overtaken',
      [sent(1, 6, true), sent(2, 5)],
      [
        ['id2', 5],
        ['id1', 6],
      ],
      [2, 0, 0, 0],
    ],
  ] as [string, ReturnType<typeof sent>[], [string, number][], number[]][])('%s', (_, acked, history, expected) => {
    expect(judged(acked, history)).toEqual(expected);
  });
});
