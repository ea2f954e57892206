import { expect, it } from 'vitest';
import { byLane, shareSlots } from '../../../src/notifications/lanes/slots.ts';

const slots = { critical: 16, high: 8, normal: 4, low: 2, batch: 1 };
const row = (values: readonly number[]) => byLane((_, index) => values[index] ?? 0);

it.each([
  ['nothing runs', [0, 0, 0, 0, 0], [16, 24, 28, 30, 31]],
  ['every lane is full', [16, 8, 4, 2, 1], [16, 8, 4, 2, 1]],
  ['only the most urgent lane is full', [16, 0, 0, 0, 0], [16, 8, 12, 14, 15]],
  ['the least urgent lane has borrowed every idle slot', [0, 0, 0, 0, 31], [16, 24, 28, 30, 31]],
  ['an urgent lane begins while its slots are lent', [10, 0, 0, 0, 31], [16, 14, 18, 20, 21]],
  ['a lane runs more than its slots', [16, 20, 0, 0, 0], [16, 8, 4, 6, 7]],
  ['a lane in the middle lends what it borrowed', [0, 10, 4, 0, 0], [16, 24, 18, 16, 17]],
])('%s', (_, running, open) => {
  expect(Object.values(shareSlots(slots, row(running)))).toEqual(open);
});
