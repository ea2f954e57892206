import type { CacheMetrics } from '../../telemetry/cache-metrics.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Cache } from '../cache.ts';
import type { RedisLink } from '../redis.ts';
import { MemoryCache, type CacheSettings } from './memory.ts';
import { RedisCache } from './redis.ts';

export interface CacheParts {
  /** The name of the node, for reports. */
  readonly node: string;
  /** The id of the installation. */
  readonly installation: string;
  readonly metrics: CacheMetrics;
  readonly log: Log;
}

export interface SharedCacheSettings extends CacheSettings {
  readonly prefix: string;
  readonly maxSharedBytes: number;
}

/** @param link undefined: this node is alone */
export async function openCache(
  settings: SharedCacheSettings,
  link: RedisLink | undefined,
  parts: CacheParts,
): Promise<Cache> {
  if (link === undefined) return new MemoryCache({ ...settings, ...parts });
  const cache = new RedisCache({ ...settings, ...parts, link });
  await cache.open();
  return cache;
}
