import { expect, it } from 'vitest';
import { until } from './until.ts';

// Polls each 10 ms without end exceeded the rate of commands on a busy machine.
it('polls seldom enough for the rate of commands, however long it waits', async () => {
  let polls = 0;
  await expect(until('never', () => (polls++, false), 4000)).rejects.toThrow('waited 4000 ms in vain until never');
  // of lists, which count as two: the burst, and four seconds of the rate
  expect(2 * polls).toBeLessThanOrEqual(200 + 4 * 50);
});
