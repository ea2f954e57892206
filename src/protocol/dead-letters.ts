/** Dead letters: notifications and deliveries of webhooks that ended without an arrival. */
import { z } from 'zod';
import { instant, roomId, seq, userId } from './model.ts';

export const deadLetterLimits = {
  /** Times that one dead letter may be replayed. */
  replays: 3,
  /** Dead letters of one request to replay or to drop. */
  atOnce: 1000,
  reasonLength: 100,
} as const;

export const deadChannels = ['push', 'email', 'webhook'] as const;
export type DeadChannel = (typeof deadChannels)[number];

export const deadLetter = z
  .object({
    id: z.uuid(),
    channel: z.enum(deadChannels),
    target: z.string().describe('the id of the device, or of the webhook'),
    user: userId.nullable().describe('null: a delivery of a webhook'),
    room: roomId.nullable(),
    seq: seq.nullable(),
    kind: z.string().describe('the kind of the notification, or the event of the delivery'),
    error: z.string().nullable().describe('the failure of the last attempt'),
    attempts: z.int().min(0),
    replays: z.int().min(0),
    at: instant.describe('when the last attempt failed'),
  })
  .meta({ id: 'DeadLetter' });
export type DeadLetter = z.output<typeof deadLetter>;

/** The dead letters of a list, of a replay, or of a drop. */
export const deadLetterFilter = {
  channel: z.enum(deadChannels).optional(),
  reason: z.string().min(1).max(deadLetterLimits.reasonLength).optional().describe('a part of the error, in any case'),
  room: roomId.optional(),
  since: instant.optional().describe('dead since that time'),
};
export type DeadLetterFilter = z.output<z.ZodObject<typeof deadLetterFilter>>;

export const deadLetterChoice = {
  ...deadLetterFilter,
  ids: z.array(z.uuid().toLowerCase()).min(1).max(deadLetterLimits.atOnce).optional().describe('these alone'),
};
export type DeadLetterChoice = z.output<z.ZodObject<typeof deadLetterChoice>>;
