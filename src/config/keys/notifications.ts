/** Notifications. */
import { number, oneOf } from '../values.ts';
import { key } from './key.ts';

export const notificationKeys = {
  notifications: key(
    'PARLEY_NOTIFICATIONS',
    '`on`: messages notify their users. `off`: no message notifies anybody, and the ledger stays empty.',
    oneOf('on', 'off'),
    'on',
  ),
  ledgerDays: key(
    'PARLEY_NOTIFICATION_DAYS',
    'Days for which notifications are kept. The server drops whole months.',
    number(1, 3650),
    '30',
  ),
} as const;
