import type { RedisLink } from '../storage/redis.ts';
import type { Fanout } from './fanout.ts';
import { MemoryFanout } from './memory.ts';
import { RedisFanout, type RedisFanoutOptions } from './redis.ts';

/** @param link undefined: this node is alone */
export async function openFanout(
  settings: Pick<RedisFanoutOptions, 'prefix' | 'partitions'>,
  link: RedisLink | undefined,
  parts: Pick<RedisFanoutOptions, 'installation' | 'otherEpoch' | 'metrics' | 'log'>,
): Promise<Fanout> {
  if (link === undefined) return new MemoryFanout();
  const fanout = new RedisFanout({ ...settings, ...parts, link });
  await fanout.open();
  return fanout;
}
