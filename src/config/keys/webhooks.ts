/** Requests to addresses of back ends, and webhooks. */
import { keyLimits } from '../../protocol/keys.ts';
import { list, number, range } from '../values.ts';
import { key } from './key.ts';

export const webhookKeys = {
  outgoingNetworks: key(
    'PARLEY_OUTGOING_NETWORKS',
    'Networks of your own that webhooks may reach, as addresses and CIDR ranges separated by commas. Other private addresses, also those of this machine, are refused.',
    list(range()),
    '',
  ),
  outgoingTimeoutMs: key(
    'PARLEY_OUTGOING_TIMEOUT_MS',
    'Longest time of one request to a webhook, with its answer.',
    number(100, 60_000),
    '10000',
  ),
  maxWebhooks: key('PARLEY_MAX_WEBHOOKS', 'Webhooks of the installation.', number(1, 1000), '50'),
  webhookRetryMs: key(
    'PARLEY_WEBHOOK_RETRY_MS',
    'Pauses before the second attempt of a delivery and the further ones, separated by commas. After the last attempt the delivery is dead.',
    list(number(10, 7 * 86_400_000)),
    '5000,30000,120000,900000,3600000,14400000,43200000,86400000',
  ),
  webhookFailingMs: key(
    'PARLEY_WEBHOOK_FAILING_MS',
    'A webhook is disabled after deliveries have failed for so long, and none has arrived.',
    number(100, 30 * 86_400_000),
    '259200000',
  ),
  webhookMaxWaiting: key(
    'PARLEY_WEBHOOK_MAX_WAITING',
    'Deliveries of one webhook that wait. A webhook with more of them is disabled, and its deliveries end.',
    number(1, 10_000_000),
    '100000',
  ),
  webhookKeptMs: key(
    'PARLEY_WEBHOOK_KEPT_MS',
    'How long a delivery is kept after its end, with its body. Until then it can be replayed.',
    number(1000, 365 * 86_400_000),
    '259200000',
  ),
  webhookOverlapMs: key(
    'PARLEY_WEBHOOK_OVERLAP_MS',
    'How long the former secret of a webhook signs too after a rotation. 0 ends it at once.',
    number(0, keyLimits.overlapMs),
    '86400000',
  ),
} as const;
