/** API keys of back ends. */
import { keyLimits } from '../../protocol/keys.ts';
import { number } from '../values.ts';
import { key } from './key.ts';

export const apiKeyKeys = {
  maxApiKeys: key('PARLEY_MAX_API_KEYS', 'API keys of the installation.', number(1, 1000), '100'),
  apiKeyRequestsPerHour: key(
    'PARLEY_API_KEY_REQUESTS_PER_HOUR',
    'Requests per hour of an API key without a rate of its own.',
    number(1, keyLimits.perHour),
    '10000',
  ),
  apiKeyOverlapMs: key(
    'PARLEY_API_KEY_OVERLAP_MS',
    'How long the former secret of an API key stays valid after a rotation. 0 ends it at once.',
    number(0, keyLimits.overlapMs),
    '86400000',
  ),
  apiKeyFailuresPerMinutePerAddress: key(
    'PARLEY_API_KEY_FAILURES_PER_MINUTE_PER_ADDRESS',
    'Wrong API keys that one IP address (IPv6: one /64) may present to a process per minute. Valid keys of the address are accepted all the same.',
    number(1, 1_000_000),
    '60',
  ),
} as const;
