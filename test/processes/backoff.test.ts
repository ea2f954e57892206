import { describe, expect, it } from 'vitest';
import { restartBackoff, restartDelay } from '../../src/processes/backoff.ts';

const most = (failures: number) => restartDelay(failures, () => 1);

describe('the delay before a worker is started again', () => {
  it('doubles with each failure up to its bound, half of it at random', () => {
    expect([0, 1, 2, 3, 4].map(most)).toEqual([200, 400, 800, 1600, 3200]);
    expect([8, 31, 1_000_000].map(most)).toEqual([30_000, 30_000, 30_000]);
    expect(restartDelay(0, () => 0)).toBe(restartBackoff.baseMs / 2);
    expect(restartDelay(99, () => 0)).toBe(restartBackoff.capMs / 2);
  });
});
