/** Rates over all nodes: in Redis, or in memory for a lone node. */
import type { RedisLink } from '../storage/redis.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { FallbackRates } from './fallback.ts';
import { MemoryRates } from './memory.ts';
import { RateNodes } from './nodes.ts';
import type { Rates } from './rates.ts';
import { RedisRates } from './redis.ts';

export interface OpenRates {
  readonly rates: Rates;
  /** Undefined: this node is alone. */
  readonly redis: RedisLink | undefined;
  stop(): Promise<void>;
}

export function openRates(
  redis: RedisLink | undefined,
  { prefix, node }: { readonly prefix: string; readonly node: string },
  metrics: Metrics,
): OpenRates {
  const own = new MemoryRates({ forgot: () => metrics.ratesForgotten.inc() });
  if (redis === undefined) return { rates: own, redis, stop: () => Promise.resolve() };
  const nodes = new RateNodes(redis, prefix, node);
  const rates = new FallbackRates(new RedisRates(redis, prefix), own, {
    up: () => redis.writable,
    failed: () => metrics.ratesAlone.inc(),
    nodes: () => nodes.count,
  });
  return { rates, redis, stop: () => nodes.stop() };
}
