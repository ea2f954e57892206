/** Webhooks: the input and the output of the routes that manage them. */
import { z } from 'zod';
import { keyLimits, roomPattern } from './keys.ts';
import { instant, rev, roomId } from './model.ts';
import { outgoingUrl, outgoingUrlLength } from './outgoing-url.ts';

export const webhookLimits = {
  /** Patterns of room ids of one webhook. */
  rooms: 32,
  /** Times that one delivery may be replayed. */
  replays: 3,
} as const;

/** The kinds of events that webhooks get. */
export const webhookEvents = ['message.created', 'message.updated', 'message.deleted', 'notification.dead'] as const;
export type WebhookEvent = (typeof webhookEvents)[number];

export const webhookFormats = ['standard', 'cloudevents'] as const;
export type WebhookFormat = (typeof webhookFormats)[number];

export const disabledReasons = ['operator', 'gone', 'failing', 'backlog'] as const;
export type DisabledReason = (typeof disabledReasons)[number];

export const deliveryStates = ['waiting', 'sending', 'delivered', 'dead'] as const;
export type DeliveryState = (typeof deliveryStates)[number];

export const webhookId = z.uuid().toLowerCase().describe('id of a webhook');
export const deliveryId = z.uuid().toLowerCase().describe('id of a delivery: its `webhook-id`');

const url = z
  .string()
  .max(outgoingUrlLength)
  .regex(/^https?:\/\//, 'expected a URL that begins with https:// or http://')
  .refine((text) => outgoingUrl(text) !== undefined, 'expected a URL without user, password and fragment')
  .describe('address that gets the events. `http` is for networks of PARLEY_OUTGOING_NETWORKS alone');
const eventList = z.array(z.enum(webhookEvents)).min(1).max(webhookEvents.length).describe('kinds of events');
const rooms = z.array(roomPattern).min(1).max(webhookLimits.rooms).describe('patterns of rooms; `*` is every room');
const format = z
  .enum(webhookFormats)
  .describe('`standard`: the body of Standard Webhooks; `cloudevents`: CloudEvents 1.0 as JSON. Both are signed alike');
const ordered = z
  .boolean()
  .describe('the events of a room arrive in their order: an event waits for the earlier ones of its room');

export const webhookCreateInput = z.strictObject({
  url,
  events: eventList.default([...webhookEvents]),
  rooms: rooms.default(['*']),
  format: format.default('standard'),
  ordered: ordered.default(false),
});

export const webhookUpdateInput = z.strictObject({
  id: webhookId,
  url: url.optional(),
  events: eventList.optional(),
  rooms: rooms.optional(),
  format: format.optional(),
  ordered: ordered.optional(),
  enabled: z
    .boolean()
    .optional()
    .describe('false: no events from now on, and waiting deliveries end; true: events from now on'),
});

export const webhookRotateInput = z.strictObject({
  id: webhookId,
  overlapMs: z
    .int()
    .min(0)
    .max(keyLimits.overlapMs)
    .optional()
    .describe('how long the former secret signs too; 0 ends it at once; default: PARLEY_WEBHOOK_OVERLAP_MS'),
});

/** A webhook as it is listed, without its secret. */
export const webhookView = z.strictObject({
  id: webhookId,
  url: z.string(),
  events: z.array(z.enum(webhookEvents)),
  rooms: z.array(roomPattern),
  format,
  ordered,
  state: z.enum(['active', 'disabled']),
  reason: z
    .enum(disabledReasons)
    .nullable()
    .describe(
      'why the webhook is disabled: `operator` (a request), `gone` (the answer 410), `failing` (no delivery arrived for ' +
        'PARLEY_WEBHOOK_FAILING_MS) or `backlog` (PARLEY_WEBHOOK_MAX_WAITING deliveries wait)',
    ),
  failingSince: instant.nullable().describe('the first failure since the last delivery that arrived'),
  disabledAt: instant.nullable(),
  createdAt: instant,
  rotatedAt: instant.nullable(),
  previousUntil: instant.nullable().describe('until when the former secret signs too'),
});

/** The answer of `create` and `rotate`: the only one that has the secret. */
export const webhookWithSecret = z.strictObject({
  webhook: webhookView,
  secret: z.string().describe('`whsec_` and the key in base64; Parley shows it this one time'),
});

export const deliveryView = z.strictObject({
  id: deliveryId,
  place: z.int().min(1).describe('place in the list; a replay gives the delivery a new place'),
  event: z.enum([...webhookEvents, 'webhook.test']),
  room: roomId.nullable(),
  rev: rev.nullable(),
  state: z.enum(deliveryStates),
  attempts: z.int().min(0),
  replays: z.int().min(0),
  lastStatus: z.int().nullable().describe('the status of the last answer'),
  lastError: z.string().nullable().describe('why the last attempt failed'),
  createdAt: instant,
  dueAt: instant.nullable().describe('when the next attempt is due; null: the delivery has ended'),
  endedAt: instant.nullable(),
});

export type WebhookCreateInput = z.output<typeof webhookCreateInput>;
export type WebhookUpdateInput = z.output<typeof webhookUpdateInput>;
export type WebhookRotateInput = z.output<typeof webhookRotateInput>;
export type WebhookView = z.output<typeof webhookView>;
export type WebhookWithSecret = z.output<typeof webhookWithSecret>;
export type DeliveryView = z.output<typeof deliveryView>;
