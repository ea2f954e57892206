/**
 * The guarantees of src/storage/cache.ts while Redis is cut off, swallowed, flushed and slow, by a seeded plan.
 * `PARLEY_CACHE_MINUTES=5` runs longer, and `PARLEY_CACHE_SEED` repeats a plan.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { newPrefix, openCacheNode } from '../../support/cache.ts';
import { startProxy, type Proxy } from '../../support/proxy.ts';
import { startOwnRedis } from '../../support/services.ts';
import { until } from '../../support/until.ts';
import { History, type Step } from './histories.ts';

const minutes = Number(process.env['PARLEY_CACHE_MINUTES'] ?? 0);
const forMs = minutes > 0 ? minutes * 60_000 : 8000;
const leaseMs = 300;
const keys = 3;

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

it(
  'gives no value that is older than an invalidation, whatever happens to Redis',
  { timeout: forMs + 120_000 },
  async () => {
    const seed = Number(process.env['PARLEY_CACHE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    const random = randomFrom(seed);
    const upTo = (most: number): number => Math.floor(random() * most);
    const redis = await startOwnRedis();
    const proxies = await Promise.all([0, 1, 2].map(() => startProxy(redis.url)));
    const prefix = newPrefix();
    const nodes = await Promise.all(proxies.map(({ url }) => openCacheNode(prefix, { url, leaseMs })));
    const history = new History(
      nodes.map(({ cache }) => ({ cache, hasRedis: () => cache.isShared })),
      'user',
      keys,
      leaseMs,
    );
    const faults: Record<string, number> = { cut: 0, all: 0, swallowed: 0, flushed: 0, slow: 0 };
    const fault = async (): Promise<void> => {
      const some = random() < 0.3 ? proxies : [proxies[upTo(3)] as Proxy];
      const kind = upTo(4);
      if (some.length > 1) faults['all'] = (faults['all'] ?? 0) + 1;
      const name = ['cut', 'swallowed', 'flushed', 'slow'][kind] as string;
      faults[name] = (faults[name] ?? 0) + 1;
      if (name === 'flushed') {
        await nodes
          .find(({ link }) => link.up)
          ?.link.commands.flushall()
          .catch(() => {});
        return;
      }
      for (const proxy of some) {
        if (name === 'cut') proxy.cut();
        else if (name === 'swallowed') proxy.swallow();
        else proxy.slow(() => upTo(40));
      }
      await delay(50 + upTo(900));
      for (const proxy of some) proxy.restore();
    };
    const end = performance.now() + forMs;
    const failing = (async () => {
      while (performance.now() < end) {
        await fault();
        await delay(upTo(700));
      }
    })();
    const running = new Set<Promise<void>>();
    while (performance.now() < end && history.violations.length === 0) {
      const place = { node: upTo(3), key: upTo(keys) };
      const step: Step =
        random() < 0.85
          ? { is: 'read', ...place, beforeMs: upTo(4), afterMs: upTo(8) }
          : { is: 'write', ...place, by: random() < 0.5 ? 'key' : 'tag' };
      const done = history.run(step).finally(() => running.delete(done));
      running.add(done);
      if (random() < 0.3) await delay(upTo(5));
    }
    await failing;
    await Promise.all(running);
    for (const proxy of proxies) proxy.restore();
    await until('all nodes share values again', () => nodes.every(({ cache }) => cache.isShared));
    // each node has delivered what Redis missed; a value that is still older now would stay so for its 15 minutes
    await until('every node has every write', () => history.settled());
    const { reads, loads, reaches, violations } = history;
    if (minutes > 0) console.log({ seed, reads, loads, reaches, faults, violations: violations.length });
    await Promise.all(nodes.map((node) => node.close()));
    await Promise.all(proxies.map((proxy) => proxy.close()));
    await redis.stop();
    expect({ seed, violations }).toEqual({ seed, violations: [] });
    expect(reaches.everywhere).toBeGreaterThan(0);
    expect(loads).toBeLessThan(reads);
  },
);
