import { afterAll } from 'vitest';
import type { Cache } from '../../../src/storage/cache.ts';
import { cacheContract } from '../../contract/cache.contract.ts';
import { newPrefix, openCacheNode, type CacheNode } from '../../support/cache.ts';

const nodes: CacheNode[] = [];
afterAll(async () => {
  for (const node of nodes) await node.link.close();
});

cacheContract('Redis', async (): Promise<Cache> => {
  const node = await openCacheNode(newPrefix(), { maxLoads: 2, maxWaitingLoads: 3, leaseMs: 100 });
  nodes.push(node);
  return node.cache;
});
