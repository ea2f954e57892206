/** Dead letters over REST. */
import { z } from 'zod';
import { deadLetter, deadLetterChoice, deadLetterFilter, deadLetterLimits } from '../dead-letters.ts';
import { notificationReasons } from '../notifications.ts';
import type { RouteDeclarations } from '../route-schema.ts';

const common = { weight: 5, scope: 'webhooks', callers: 'key' } as const;
const more = z.boolean().describe(`there are more than ${deadLetterLimits.atOnce}; send the request again`);

export const deadLetterRoutes = {
  'dead:list': {
    ...common,
    about:
      'Notifications and deliveries that ended without an arrival, the newest first. Nothing secret is shown. A dead ' +
      'letter stays as long as the ledger (PARLEY_NOTIFICATION_DAYS), or as the record of a webhook (PARLEY_WEBHOOK_KEPT_MS).',
    kind: 'read',
    http: {
      method: 'GET',
      path: '/dead-letters',
      pages: { items: 'deadLetters', next: [{ from: 'before', to: 'before' }] },
    },
    input: z.object({
      ...deadLetterFilter,
      before: z.string().max(200).optional().describe('`before` of the page before'),
      limit: z.int().min(1).max(100).default(20),
    }),
    output: z.object({ deadLetters: z.array(deadLetter), before: z.string().nullable(), more: z.boolean() }),
    errors: [],
  },
  'dead:replay': {
    ...common,
    about:
      `Sends dead letters again, the oldest first: those of the filter, at most ${deadLetterLimits.atOnce} in one request. The server decides again ` +
      `about each notification, so one that is read meanwhile is dropped. A dead letter may be replayed ${deadLetterLimits.replays} times. ` +
      'With `dryRun` nothing changes.',
    kind: 'write',
    http: { method: 'POST', path: '/dead-letters/replay' },
    input: z.object({ ...deadLetterChoice, dryRun: z.boolean().default(false) }),
    output: z.object({
      replayed: z.int().min(0),
      dropped: z.partialRecord(z.enum(notificationReasons), z.int().min(1)).describe('notifications by the reason'),
      exhausted: z.int().min(0).describe(`replayed ${deadLetterLimits.replays} times before`),
      disabled: z.int().min(0).describe('deliveries of a webhook that is disabled'),
      more,
    }),
    errors: ['limit_reached'],
  },
  'dead:drop': {
    ...common,
    about: 'Ends dead letters for good: deliveries are removed, and notifications are dropped as `expired`.',
    kind: 'write',
    http: { method: 'POST', path: '/dead-letters/drop' },
    input: z.object(deadLetterChoice),
    output: z.object({ dropped: z.int().min(0), more }),
    errors: [],
  },
} as const satisfies RouteDeclarations;
