import { describe, expect, it } from 'vitest';
import { TokenBuckets } from '../../src/rates/token-bucket.ts';

describe('token buckets', () => {
  it('give a burst, then one a period, and say how long to wait', () => {
    const buckets = new TokenBuckets(2, 3);
    expect([1, 2, 3].map(() => buckets.take('a', 0))).toEqual([0, 0, 0]);
    expect(buckets.take('a', 0)).toBe(500);
    expect(buckets.take('a', 400)).toBe(100);
    expect(buckets.take('a', 500)).toBe(0);
    expect(buckets.take('a', 500)).toBe(500);
  });

  it('never hold more than the burst', () => {
    const buckets = new TokenBuckets(1, 2);
    expect([0, 1_000_000, 1_000_000].map((at) => buckets.take('a', at))).toEqual([0, 0, 0]);
    expect(buckets.take('a', 1_000_000)).toBeGreaterThan(0);
  });

  it('count each key by itself and forget those that are full again', () => {
    const buckets = new TokenBuckets(1, 2);
    buckets.take('a', 0);
    buckets.take('b', 900);
    buckets.take('b', 900);
    expect(buckets.size).toBe(2);
    buckets.sweep(1000);
    expect(buckets.size).toBe(1);
    buckets.sweep(2900);
    expect(buckets.size).toBe(0);
  });
});
