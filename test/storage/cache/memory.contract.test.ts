import { expect, it } from 'vitest';
import { MemoryCache } from '../../../src/storage/cache/memory.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { cacheContract } from '../../contract/cache.contract.ts';
import { cacheLimits, seriesOf } from '../../support/cache.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const limits = { ...cacheLimits, maxLoads: 2, maxWaitingLoads: 3 };
const failing = (): Promise<never> => Promise.reject(new Error('no answer of Postgres'));
const open = (): MemoryCache => new MemoryCache({ ...limits, node: 'test', metrics: new Metrics().cache });
cacheContract('memory', () => Promise.resolve(open()));

it('keeps a value for its time, and beyond that only where the load fails, for its grace', async () => {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const cache = new MemoryCache({ ...cacheLimits, node: 'test', metrics: metrics.cache, clock, random: () => 0 });
  let name = 'first';
  const load = () => Promise.resolve({ id: 'ann', name });
  await cache.read('user', ['ann'], load);
  name = 'second';
  const minute = 60_000;
  await clock.pass(15 * minute - 1);
  expect((await cache.read('user', ['ann'], load))?.name).toBe('first');
  await clock.pass(1);
  expect((await cache.read('user', ['ann'], failing))?.name).toBe('first');
  await clock.pass(minute - 1);
  expect((await cache.read('user', ['ann'], failing))?.name).toBe('first');
  expect(await seriesOf(metrics)('parley_cache_reads_total{kind="user",result="stale"}')).toBe(2);
  await clock.pass(1);
  await expect(cache.read('user', ['ann'], failing)).rejects.toThrow('no answer');
  expect((await cache.read('user', ['ann'], load))?.name).toBe('second');
});

it('never serves an invalidated value in its grace', async () => {
  const clock = new ManualClock();
  const cache = new MemoryCache({ ...cacheLimits, node: 'test', metrics: new Metrics().cache, clock, random: () => 0 });
  await cache.read('user', ['ann'], () => Promise.resolve({ id: 'ann', name: 'first' }));
  await clock.pass(15 * 60_000);
  await cache.invalidate(['user:ann']);
  await expect(cache.read('user', ['ann'], failing)).rejects.toThrow('no answer');
});
