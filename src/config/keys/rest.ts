/** The REST API. */
import { number, tiers } from '../values.ts';
import { key } from './key.ts';

export const restKeys = {
  requestTiers: key(
    'PARLEY_API_TIERS',
    'Requests of REST in one hour, over all nodes, by the tier of the token. `anonymous` limits an IP address (IPv6: one /64) without a token. `standard` limits tokens without a tier, or with an unlisted one. A heavy request counts more than once.',
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
