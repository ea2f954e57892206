/** The cache of running nodes, for a command in its own process: the process is a node of the cache for that time. */
import type { Config } from '../../config/config.ts';
import { cacheSlice } from '../../config/slices.ts';
import { StartupError } from '../../startup-error.ts';
import type { Cache } from '../../storage/cache.ts';
import { openCache } from '../../storage/cache/open.ts';
import { openServer } from '../../storage/database.ts';
import { readInstallation } from '../../storage/installation.ts';
import { openRedis } from '../../storage/redis.ts';
import { createLog } from '../../telemetry/log.ts';
import { Metrics } from '../../telemetry/metrics.ts';
import type { CacheOperator, WithCache } from '../context.ts';

/** A cache beside the nodes of an installation, over their Redis. @throws {StartupError} */
export function cacheBeside(config: Config): WithCache {
  return async (work) => {
    if (config.redisUrl === undefined || config.databaseUrl === undefined) {
      throw new StartupError(
        'The nodes share their cache over Redis: set REDIS_URL and DATABASE_URL to the values that they have.',
      );
    }
    const database = await openServer({ url: config.databaseUrl, poolSize: 1 });
    try {
      const { id } = await database.explaining(() => readInstallation(database.sql));
      const log = createLog({ level: 'silent', pretty: false, node: 'cli' });
      const link = await openRedis({ url: config.redisUrl, prefix: config.redisPrefix, log });
      try {
        if (!link.up) throw new StartupError('Redis does not answer (REDIS_URL).');
        const parts = { node: 'cli', installation: id, metrics: new Metrics().cache, log };
        const cache = await openCache(cacheSlice(config), link, parts);
        try {
          await work(withoutItself(cache));
        } finally {
          await cache.close();
        }
      } finally {
        await link.close();
      }
    } finally {
      await database.close();
    }
  };
}

/** This process is a node of the cache too, for as long as the command runs. */
function withoutItself(cache: Cache): CacheOperator {
  return {
    clear: (tag) => cache.clear(tag),
    stats: async () => {
      const stats = await cache.stats();
      return { ...stats, nodes: stats.nodes.slice(1) };
    },
  };
}
