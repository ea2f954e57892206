import { expect, it } from 'vitest';
import { FallbackRates } from '../../src/rates/fallback.ts';
import { MemoryRates } from '../../src/rates/memory.ts';
import type { Rate, Rates } from '../../src/rates/rates.ts';

it('counts on this node while Redis is unavailable', async () => {
  let failed = 0;
  const broken: Rates = { take: () => Promise.reject(new Error('unavailable')), record: () => new Promise(() => {}) };
  const rates = new FallbackRates(broken, new MemoryRates(), { up: () => true, failed: () => failed++ });
  const rate: Rate = { limit: 1, windowMs: 60_000 };
  expect((await rates.take('a', 1, rate)).allowed).toBe(true);
  expect((await rates.take('a', 1, rate)).allowed).toBe(false);
  expect((await rates.record('b', 1, rate)).remaining).toBe(0);
  expect(failed).toBe(3);
});
