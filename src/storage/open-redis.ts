import { NotReady, type Health } from '../telemetry/health.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Release } from './open.ts';
import type { RedisProblem } from './redis-refusal.ts';
import { openRedis, type RedisLink } from './redis.ts';

export interface RedisParts {
  readonly log: Log;
  readonly health: Health;
  readonly metrics: Metrics;
}

/** Opens Redis for several nodes. While Redis is down, nodes still serve: events cross nodes through Postgres. */
export async function openCluster(
  { url, prefix }: { readonly url: string | undefined; readonly prefix: string },
  { log, health, metrics }: RedisParts,
  releases: Release[],
): Promise<RedisLink | undefined> {
  if (url === undefined) return undefined;
  const refused = (problem: RedisProblem): void => metrics.redisRefusals.inc({ problem });
  const redis = await openRedis({ url, prefix, log, refused });
  releases.push(() => redis.close());
  // the link tries Redis all the time, so the check reads its state and sends nothing
  const check = (): Promise<void> =>
    redis.problem === undefined ? Promise.resolve() : Promise.reject(new NotReady(redis.problem));
  health.add({ name: 'redis', vital: false, run: check });
  metrics.watchRedis({
    states: () => redis.states(),
    evicts: () => (redis.evictionPolicy ?? 'noeviction') !== 'noeviction',
  });
  return redis;
}
