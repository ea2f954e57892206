/** Nodes of a cache over one Redis, each with its own connections, as processes have them. */
import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { MemoryCache } from '../../src/storage/cache/memory.ts';
import { RedisCache, type RedisCacheOptions } from '../../src/storage/cache/redis.ts';
import { openRedis, type RedisLink } from '../../src/storage/redis.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { silentLog } from './messaging.ts';
import { parseMetrics } from './metrics.ts';
import { until } from './until.ts';

export const cacheLimits = { maxBytes: 8 * 1024 * 1024, maxLoads: 16, maxWaitingLoads: 10_000 };

/** The cache of a node alone. */
export function memoryCache(): MemoryCache {
  return new MemoryCache({ ...cacheLimits, node: 'test', metrics: new Metrics().cache });
}

export interface CacheNode {
  readonly cache: RedisCache;
  readonly link: RedisLink;
  readonly prefix: string;
  /** The value of a series; 0 if it was never counted. */
  readonly metric: (series: string) => Promise<number>;
  close(): Promise<void>;
}

export function seriesOf(metrics: Metrics): (series: string) => Promise<number> {
  return async (series) => parseMetrics(await metrics.text()).get(series) ?? 0;
}

export const newPrefix = (): string => `test-${randomBytes(6).toString('hex')}:`;

export async function openCacheNode(
  prefix: string,
  more: Partial<RedisCacheOptions> & { readonly url?: string; readonly wrap?: (link: RedisLink) => RedisLink } = {},
): Promise<CacheNode> {
  const { url = inject('redisUrl'), wrap = (link: RedisLink): RedisLink => link, ...rest } = more;
  const link = await openRedis({ url, log: silentLog, prefix });
  const metrics = new Metrics();
  const cache = new RedisCache({
    ...cacheLimits,
    node: 'test',
    link: wrap(link),
    prefix,
    installation: 'i',
    maxSharedBytes: 64 * 1024 * 1024,
    metrics: metrics.cache,
    log: silentLog,
    ...rest,
  });
  await cache.open();
  await until('the node shares values', () => cache.isShared);
  const close = async (): Promise<void> => {
    await cache.close();
    await link.close();
  };
  return { cache, link, prefix, metric: seriesOf(metrics), close };
}
