/** The work of several nodes together, on a real Redis: one load for all, faults of Redis, and what is left in Redis. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { openCacheNode, newPrefix, type CacheNode } from '../../support/cache.ts';
import { closedGate } from '../../support/gate.ts';
import { startProxy, type Proxy } from '../../support/proxy.ts';
import { startOwnRedis, type OwnService } from '../../support/services.ts';
import { until } from '../../support/until.ts';

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step();
});

async function nodesOf(count: number, more: Parameters<typeof openCacheNode>[1] = {}): Promise<CacheNode[]> {
  const prefix = newPrefix();
  const nodes = await Promise.all(Array.from({ length: count }, () => openCacheNode(prefix, more)));
  cleanUp.push(() => Promise.all(nodes.map((node) => node.close())));
  return nodes;
}

async function behindProxy(): Promise<{ redis: OwnService; proxy: Proxy }> {
  const redis = await startOwnRedis();
  cleanUp.push(() => redis.stop());
  const proxy = await startProxy(redis.url);
  cleanUp.push(() => proxy.close());
  return { redis, proxy };
}

const facts = (name: string) => Promise.resolve({ id: 'ann', name });
const never = (): Promise<never> => Promise.reject(new Error('loaded once more'));
const sharedOf = async ({ cache }: CacheNode): Promise<boolean> => (await cache.stats()).nodes[0]?.shared === true;

describe('a cold key', () => {
  it('is loaded once for 10 nodes with 1,000 readers each', async () => {
    const nodes = await nodesOf(10);
    // the second load takes longer than the lease of a load, which its node renews
    for (const [key, loadMs] of [
      ['short', 20],
      ['long', 500],
    ] as const) {
      let loads = 0;
      const load = async () => {
        loads++;
        await delay(loadMs);
        return { id: key, name: 'Ann' };
      };
      const reads = nodes.flatMap(({ cache }) => Array.from({ length: 1000 }, () => cache.read('user', [key], load)));
      const values = await Promise.all(reads);
      expect(values.filter((value) => value?.name === 'Ann')).toHaveLength(10_000);
      const faults: Record<string, number> = {};
      for (const { metric } of nodes) {
        for (const step of ['read', 'store', 'lease', 'beat'])
          faults[step] = (faults[step] ?? 0) + (await metric(`parley_cache_errors_total{step="${step}"}`));
        faults['lost'] = (faults['lost'] ?? 0) + (await metric('parley_cache_drains_total{cause="lost"}'));
      }
      // a command that failed would be another reason for a load
      expect({ key, loads, faults }).toEqual({
        key,
        loads: 1,
        faults: { read: 0, store: 0, lease: 0, beat: 0, lost: 0 },
      });
    }
    const shared = await Promise.all(
      nodes.map(({ metric }) => metric('parley_cache_reads_total{kind="user",result="shared"}')),
    );
    expect(shared.reduce((sum, count) => sum + count, 0)).toBe(18);
  });

  it('is loaded by another node when the loading node dies', async () => {
    const { redis } = await behindProxy();
    const dying = await startProxy(redis.url);
    cleanUp.push(() => dying.close());
    const prefix = newPrefix();
    const [first, second] = [
      await openCacheNode(prefix, { url: dying.url }),
      await openCacheNode(prefix, { url: redis.url }),
    ];
    cleanUp.push(() => Promise.all([first.close(), second.close()]));
    let began = false;
    const gate = closedGate();
    const lost = first.cache.read('user', ['ann'], async () => {
      began = true;
      await gate.opened;
      return { id: 'ann', name: 'of the dead node' };
    });
    await until('the first node loads', () => began);
    const taken = second.cache.read('user', ['ann'], () => facts('of the other node'));
    dying.cut();
    expect((await taken)?.name).toBe('of the other node');
    gate.open();
    await lost;
    expect((await second.cache.read('user', ['ann'], never))?.name).toBe('of the other node');
  });

  it('is loaded at once by another node after a load that failed', async () => {
    const nodes = await nodesOf(2);
    const [a, b] = nodes as [CacheNode, CacheNode];
    await expect(a.cache.read('user', ['ann'], () => Promise.reject(new Error('no answer')))).rejects.toThrow(
      'no answer',
    );
    expect((await b.cache.read('user', ['ann'], () => facts('Ann')))?.name).toBe('Ann');
  });
});

it('serves a value in its grace while another node loads it', async () => {
  const [a, b] = (await nodesOf(2, { random: () => 0 })) as [CacheNode, CacheNode];
  await a.cache.read('user', ['ann'], () => facts('old'));
  // as if its fifteen minutes were over: the memory of the other node is empty, and Redis has the entry in its grace
  expect(await a.link.commands.hset(`${a.prefix}cache:i:e:user/ann`, 'x', Date.now() - 1)).toBe(0);
  const gate = closedGate();
  let began = false;
  const loading = b.cache.read('user', ['ann'], async () => {
    began = true;
    await gate.opened;
    return facts('new');
  });
  await until('one node loads', () => began);
  const third = await openCacheNode(a.prefix);
  cleanUp.push(() => third.close());
  expect((await third.cache.read('user', ['ann'], never))?.name).toBe('old');
  expect(await third.metric('parley_cache_reads_total{kind="user",result="stale"}')).toBe(1);
  // an invalidated value has no grace
  await a.cache.invalidate([{ kind: 'user', id: ['ann'] }]);
  const fresh = third.cache.read('user', ['ann'], () => facts('newest'));
  expect((await fresh)?.name).toBe('newest');
  gate.open();
  await loading;
});

it('stores nothing in Redis of a load that an invalidation overtook, so that nothing is left when its fence is gone', async () => {
  const [a, b] = (await nodesOf(2, { leaseMs: 200 })) as [CacheNode, CacheNode];
  for (const target of ['user:ann', { kind: 'user', id: ['ann'] }] as const) {
    const gate = closedGate();
    let began = false;
    const slow = a.cache.read('user', ['ann'], async () => {
      began = true;
      await gate.opened;
      return { id: 'ann', name: 'old' };
    });
    await until('the old value is read', () => began);
    expect(await b.cache.invalidate([target])).toBe('everywhere');
    gate.open();
    await slow;
    expect(await a.link.commands.keys(`${a.prefix}*:e:user/ann`)).toEqual([]);
  }
  expect(await a.metric('parley_cache_fenced_total{kind="user"}')).toBe(2);
});

it('keeps its size in Redis, and evicts what would end first', async () => {
  const [node] = (await nodesOf(1, { maxSharedBytes: 10_000, maxBytes: 1000 })) as [CacheNode];
  for (let i = 0; i < 30; i++) await node.cache.read('user', [`u${i}`], () => facts('x'.repeat(700)));
  const { shared } = await node.cache.stats();
  expect(shared?.bytes).toBeLessThanOrEqual(10_000);
  expect(shared?.bytes).toBeGreaterThan(8000);
  expect(shared?.entries).toBe(9);
  expect(await node.metric('parley_cache_evicted_total{tier="shared"}')).toBe(21);
  expect((await node.link.commands.keys(`${node.prefix}*:e:user/*`)).length).toBe(9);
  for (let i = 0; i < 30; i++) await node.cache.invalidate([{ kind: 'user', id: [`u${i}`] }]);
  expect((await node.cache.stats()).shared).toEqual({ entries: 0, bytes: 0 });
});

describe('Redis', () => {
  it('lost and back empties the memory, and reads go on without an error', async () => {
    const { proxy } = await behindProxy();
    const node = await openCacheNode(newPrefix(), { url: proxy.url, leaseMs: 400 });
    cleanUp.push(() => node.close());
    const sizes = async (): Promise<number | undefined> => (await node.cache.stats()).nodes[0]?.entries;
    await node.cache.read('user', ['ann'], () => facts('first'));
    expect(await sizes()).toBe(1);
    proxy.cut();
    await until('Redis is lost', async () => !(await sharedOf(node)));
    expect(await sizes()).toBe(0);
    expect(await node.metric('parley_cache_drains_total{cause="lost"}')).toBe(1);
    // alone: one load for many readers, and for a short time
    let loads = 0;
    const load = () => {
      loads++;
      return facts(`alone ${loads}`);
    };
    await Promise.all(Array.from({ length: 100 }, () => node.cache.read('user', ['ann'], load)));
    expect(loads).toBe(1);
    expect(await node.cache.invalidate([{ kind: 'user', id: ['ann'] }])).toBe('here');
    expect((await node.cache.read('user', ['ann'], load))?.name).toBe('alone 2');
    await until('a value without Redis ends soon', async () => {
      await node.cache.read('user', ['ann'], load);
      return loads > 2;
    });
    proxy.restore();
    await until('Redis is back', () => sharedOf(node));
    expect(await node.metric('parley_cache_drains_total{cause="joined"}')).toBe(2);
    // the invalidation that Redis missed has cleared what Redis had
    expect((await node.cache.read('user', ['ann'], () => facts('after')))?.name).toBe('after');
  });

  it('that does not answer delays no reader beyond the limit of a command', async () => {
    const { proxy } = await behindProxy();
    const node = await openCacheNode(newPrefix(), { url: proxy.url });
    cleanUp.push(() => node.close());
    proxy.swallow();
    expect((await node.cache.read('user', ['ann'], () => facts('loaded')))?.name).toBe('loaded');
    expect(await node.metric('parley_cache_errors_total{step="read"}')).toBeGreaterThan(0);
    expect(await node.cache.invalidate(['user:ann'])).toBe('here');
    proxy.restore();
  });

  it('that is full leaves the node alone', async () => {
    const { redis } = await behindProxy();
    const node = await openCacheNode(newPrefix(), { url: redis.url });
    cleanUp.push(() => node.close());
    await node.link.commands.config('SET', 'maxmemory', '1mb');
    await until('Redis takes no writes', () => !node.link.writable);
    expect(await sharedOf(node)).toBe(false);
    expect((await node.cache.read('user', ['ann'], () => facts('loaded')))?.name).toBe('loaded');
    await node.link.commands.config('SET', 'maxmemory', '0');
    await until('values are shared again', () => sharedOf(node));
  });

  it('that lost its data has no old value, and no load from before puts one back', async () => {
    const { redis } = await behindProxy();
    const prefix = newPrefix();
    const open = () => openCacheNode(prefix, { url: redis.url, leaseMs: 300 });
    const [a, b] = [await open(), await open()];
    cleanUp.push(() => Promise.all([a.close(), b.close()]));
    const gate = closedGate();
    let began = false;
    const slow = a.cache.read('user', ['ann'], async () => {
      began = true;
      await gate.opened;
      return { id: 'ann', name: 'old' };
    });
    await until('the old value is read', () => began);
    await b.cache.read('user', ['bob'], () => facts('old'));
    await a.link.commands.flushall();
    expect(await a.cache.invalidate(['user:ann', 'user:bob'])).toBe('everywhere');
    expect((await b.cache.read('user', ['bob'], () => facts('new')))?.name).toBe('new');
    gate.open();
    await slow;
    expect((await b.cache.read('user', ['ann'], () => facts('new')))?.name).toBe('new');
    expect((await a.cache.read('user', ['ann'], never))?.name).toBe('new');
  });
});

it('waits no longer than a lease for a node that hangs', async () => {
  const { redis } = await behindProxy();
  const hanging = await startProxy(redis.url);
  cleanUp.push(() => hanging.close());
  const prefix = newPrefix();
  const a = await openCacheNode(prefix, { url: redis.url, leaseMs: 600 });
  const b = await openCacheNode(prefix, { url: hanging.url, leaseMs: 600 });
  cleanUp.push(() => Promise.all([a.close(), b.close()]));
  // a Redis that is new to both may not know all nodes yet
  await until('an invalidation waits for acknowledgements alone', async () => {
    const startedAt = performance.now();
    await a.cache.invalidate(['user:nobody']);
    return performance.now() - startedAt < 300;
  });
  await b.cache.read('user', ['ann'], () => facts('old'));
  expect((await b.cache.read('user', ['ann'], never))?.name).toBe('old');
  hanging.swallow();
  expect(await a.cache.invalidate([{ kind: 'user', id: ['ann'] }])).toBe('everywhere');
  expect((await b.cache.read('user', ['ann'], () => facts('new')))?.name).toBe('new');
  hanging.restore();
});

it('reports every node, and names those that are silent', async () => {
  const { redis } = await behindProxy();
  const hanging = await startProxy(redis.url);
  cleanUp.push(() => hanging.close());
  const prefix = newPrefix();
  const [a, b, c] = [
    await openCacheNode(prefix, { url: redis.url, node: 'a', leaseMs: 3000 }),
    await openCacheNode(prefix, { url: redis.url, node: 'b', leaseMs: 3000 }),
    await openCacheNode(prefix, { url: hanging.url, node: 'c', leaseMs: 3000 }),
  ];
  cleanUp.push(() => Promise.all([a.close(), b.close(), c.close()]));
  await b.cache.read('user', ['ann'], () => facts('Ann'));
  const full = await a.cache.stats();
  expect(full.nodes.map(({ node, entries }) => [node, entries]).toSorted()).toEqual([
    ['a', 0],
    ['b', 1],
    ['c', 0],
  ]);
  expect(full).toMatchObject({ silent: [], shared: { entries: 1 } });
  hanging.swallow();
  const partial = await a.cache.stats();
  expect(partial.nodes.map(({ node }) => node).toSorted()).toEqual(['a', 'b']);
  expect(partial.silent).toHaveLength(1);
  hanging.restore();
});
