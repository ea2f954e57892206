/** Webhooks over REST. */
import { z } from 'zod';
import type { RouteDeclarations } from '../route-schema.ts';
import {
  deliveryId,
  deliveryStates,
  deliveryView,
  webhookCreateInput,
  webhookId,
  webhookRotateInput,
  webhookUpdateInput,
  webhookView,
  webhookWithSecret,
} from '../webhooks.ts';

const common = { weight: 1, scope: 'webhooks', callers: 'key' } as const;

export const webhookRoutes = {
  'webhook:list': {
    ...common,
    about: 'The webhooks of the installation without their secrets, the oldest first. The list has one page.',
    kind: 'read',
    http: { method: 'GET', path: '/webhooks', pages: { items: 'webhooks', next: [] } },
    input: z.object({}),
    output: z.strictObject({ webhooks: z.array(webhookView) }),
    errors: [],
  },
  'webhook:create': {
    ...common,
    about:
      'Makes a webhook. Its URL gets the events of the rooms from now on, as signed requests. The answer has the secret, ' +
      'which Parley shows this one time.',
    kind: 'write',
    http: { method: 'POST', path: '/webhooks', status: 201, sensitive: true, secret: true },
    input: webhookCreateInput,
    output: webhookWithSecret,
    errors: ['limit_reached'],
  },
  'webhook:get': {
    ...common,
    about: 'A webhook, its state, and why it is disabled.',
    kind: 'read',
    http: { method: 'GET', path: '/webhooks/{id}' },
    input: z.object({ id: webhookId }),
    output: webhookView,
    errors: ['not_found'],
  },
  'webhook:update': {
    ...common,
    about:
      'Changes a webhook. Deliveries that wait go to the new URL. `enabled` disables the webhook, or enables it again.',
    kind: 'write',
    http: { method: 'PATCH', path: '/webhooks/{id}' },
    input: webhookUpdateInput,
    output: webhookView,
    errors: ['not_found'],
  },
  'webhook:delete': {
    ...common,
    about: 'Deletes a webhook and the record of its deliveries.',
    kind: 'write',
    http: { method: 'DELETE', path: '/webhooks/{id}' },
    input: z.object({ id: webhookId }),
    output: webhookView,
    errors: ['not_found'],
  },
  'webhook:rotate': {
    ...common,
    about:
      'Gives a webhook another secret. The answer has the secret, which Parley shows this one time. Each request has the ' +
      'signatures of both secrets for `overlapMs`.',
    kind: 'write',
    http: { method: 'POST', path: '/webhooks/{id}/rotate', sensitive: true, secret: true },
    input: webhookRotateInput,
    output: webhookWithSecret,
    errors: ['not_found'],
  },
  'webhook:test': {
    ...common,
    about: 'Sends the event `webhook.test` to a webhook. The answer is its delivery, whose state follows in the list.',
    kind: 'write',
    http: { method: 'POST', path: '/webhooks/{id}/test', status: 202 },
    input: z.object({ id: webhookId }),
    output: deliveryView,
    errors: ['not_found', 'conflict'],
  },
  'webhook:deliveries': {
    ...common,
    about: 'The deliveries of a webhook, the newest first. An ended delivery stays for PARLEY_WEBHOOK_KEPT_MS.',
    kind: 'read',
    http: {
      method: 'GET',
      path: '/webhooks/{id}/deliveries',
      pages: { items: 'deliveries', next: [{ from: 'next', to: 'before' }] },
    },
    input: z.object({
      id: webhookId,
      state: z.enum(deliveryStates).optional(),
      before: z.int().min(1).optional().describe('the place of the last delivery of the page before'),
      limit: z.int().min(1).max(100).default(20),
    }),
    output: z.object({ deliveries: z.array(deliveryView), next: z.int().nullable(), more: z.boolean() }),
    errors: ['not_found'],
  },
  'webhook:replay': {
    ...common,
    about:
      'Sends a delivery again that has ended, at most three times, with the same `webhook-id` and body. In an ordered ' +
      'webhook the delivery takes its turn behind the other ones of its room.',
    kind: 'write',
    http: { method: 'POST', path: '/webhooks/{id}/deliveries/{delivery}/replay', status: 202 },
    input: z.object({ id: webhookId, delivery: deliveryId }),
    output: deliveryView,
    errors: ['not_found', 'conflict', 'limit_reached'],
  },
} as const satisfies RouteDeclarations;
