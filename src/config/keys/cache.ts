/** The cache: its size in memory and in Redis, and how many values are loaded at once. */
import { bytes, number } from '../values.ts';
import { key } from './key.ts';

export const cacheKeys = {
  cacheMaxBytes: key(
    'PARLEY_CACHE_MAX_BYTES',
    'Largest size of the cached values in the memory of a process.',
    bytes(1024 * 1024, 2 ** 40),
    '64m',
  ),
  cacheMaxSharedBytes: key(
    'PARLEY_CACHE_MAX_SHARED_BYTES',
    'With REDIS_URL: largest size of the cached values in Redis. The same number on all nodes.',
    bytes(1024 * 1024, 2 ** 40),
    '256m',
  ),
  cacheMaxLoads: key(
    'PARLEY_CACHE_MAX_LOADS',
    'Values that a process loads from Postgres at once, because they are not in the cache. Other loads wait.',
    number(1, 10_000),
    '32',
  ),
  cacheMaxWaitingLoads: key(
    'PARLEY_CACHE_MAX_WAITING_LOADS',
    'Loads that may wait. One more is refused as `overloaded`.',
    number(1, 1_000_000),
    '10000',
  ),
} as const;
