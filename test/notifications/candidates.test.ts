import { expect, it } from 'vitest';
import { joined } from '../../src/notifications/candidates.ts';

const sent = (room: string, from: number, to: number, seq: number) => ({ room, from, to, seq });
const changed = (room: string, from: number, to: number) => ({ room, from, to });

it.each([
  ['sends that follow each other', [sent('a', 1, 2, 1), sent('a', 3, 3, 3)], [sent('a', 1, 3, 1)]],
  ['changes that follow each other', [changed('a', 4, 4), changed('a', 5, 9)], [changed('a', 4, 9)]],
  [
    'rooms between each other',
    [sent('a', 1, 1, 1), sent('b', 7, 7, 7), sent('a', 2, 2, 2), sent('b', 8, 9, 8)],
    [sent('a', 1, 2, 1), sent('b', 7, 9, 7)],
  ],
  [
    'not a send and a change',
    [sent('a', 1, 1, 1), changed('a', 2, 2), sent('a', 3, 3, 2)],
    [sent('a', 1, 1, 1), changed('a', 2, 2), sent('a', 3, 3, 2)],
  ],
  ['not over a hole of revs', [sent('a', 1, 1, 1), sent('a', 3, 3, 2)], [sent('a', 1, 1, 1), sent('a', 3, 3, 2)]],
  ['not over a hole of seqs', [sent('a', 1, 1, 1), sent('a', 2, 2, 3)], [sent('a', 1, 1, 1), sent('a', 2, 2, 3)]],
])('joins the ranges of a room: %s', (_, entries, ranges) => {
  expect(joined(entries)).toEqual(ranges);
});
