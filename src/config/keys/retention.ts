/** Retention: when messages expire. */
import { number } from '../values.ts';
import { key, optional } from './key.ts';

export const retentionKeys = {
  retentionDays: optional(
    'PARLEY_RETENTION_DAYS',
    'Days after which messages expire, in rooms without such a setting. Unset: messages never expire.',
    number(1, 36_500),
  ),
  retentionEveryMs: key(
    'PARLEY_RETENTION_EVERY_MS',
    'Time between two rounds that delete expired messages. One node makes each round.',
    number(100, 86_400_000),
    '3600000',
  ),
} as const;
