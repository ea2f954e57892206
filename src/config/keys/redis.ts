/** Redis: where the nodes of an installation find each other. */
import { number, redisUrl, text } from '../values.ts';
import { key, secret } from './key.ts';

export const redisKeys = {
  redisUrl: secret(
    'REDIS_URL',
    'Redis 7 or later: `redis://user:password@host:6379/0`, for several processes. `rediss://` uses TLS; `?family=6` uses IPv6. Unset: only one process may run.',
    redisUrl(),
  ),
  redisPrefix: key('PARLEY_REDIS_PREFIX', 'Prefix of every Redis key and channel of Parley.', text(1, 64), 'parley:'),
  fanoutPartitions: key(
    'PARLEY_FANOUT_PARTITIONS',
    'Redis channels over which rooms are spread; the same number on all nodes. With several channels, a node subscribes only to those that it needs.',
    number(1, 1024),
    '1',
  ),
} as const;
