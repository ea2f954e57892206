/** The REST API. */
import { number, tiers } from '../values.ts';
import { key } from './key.ts';

export const apiKeys = {
  requestTiers: key(
    'PARLEY_API_TIERS',
    'Requests of REST in one hour, over all nodes, by the tier of the token. `anonymous` is for an IP address (IPv6: one /64) without a token, `standard` for tokens without a tier or with one that is not in this list. A heavy request counts more than once.',
    tiers(),
    'anonymous=100,standard=1000,premium=5000',
  ),
  sensitiveRequestsPerMinute: key(
    'PARLEY_API_SENSITIVE_PER_MINUTE',
    'Requests of one caller in one minute to sensitive routes: sign-in, sessions, API keys and imports.',
    number(1, 1_000_000),
    '100',
  ),
} as const;
