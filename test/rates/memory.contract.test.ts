import { expect, it } from 'vitest';
import { MemoryRates } from '../../src/rates/memory.ts';
import type { Rate } from '../../src/rates/rates.ts';
import { ratesContract } from '../contract/rates.contract.ts';

ratesContract('memory', () => new MemoryRates());

it('forgets the user who took longest ago at its limit of users', async () => {
  let forgotten = 0;
  const rates = new MemoryRates({ maxKeys: 3, forgot: () => forgotten++ });
  const rate: Rate = { limit: 1, windowMs: 60_000 };
  for (const key of ['a', 'b', 'c']) await rates.take(key, 1, rate);
  expect(forgotten).toBe(0);
  await rates.take('d', 1, rate);
  expect([rates.size, forgotten]).toEqual([3, 1]);
  expect((await rates.take('b', 1, rate)).allowed).toBe(false);
  expect((await rates.take('a', 1, rate)).allowed).toBe(true);
});
