/** The words of notifications: channels, kinds, states, reasons, and the preferences of a user. */
import { z } from 'zod';
import { lanes } from './lanes.ts';
import { instant, message, roomId, seq } from './model.ts';
import { zone } from './profile.ts';

/** The ways to a user. `app`: the connections of the user, and the list of notifications. */
export const channels = ['app', 'push', 'email'] as const;
export type Channel = (typeof channels)[number];

/** Why a message concerns a user, the most personal first. A user has one notification of a message on each channel. */
export const notificationKinds = ['mention', 'everybody', 'direct', 'thread', 'message'] as const;
export type NotificationKind = (typeof notificationKinds)[number];

export const notificationStates = [
  'waiting',
  'sending',
  'unknown',
  'sent',
  'shown',
  'read',
  'failed',
  'dead',
  'dropped',
] as const;
export type NotificationState = (typeof notificationStates)[number];

/** Every reason for which a notification waits or is dropped. The list is closed. */
export const notificationReasons = [
  'read',
  'active',
  'muted',
  'level',
  'quiet',
  'snoozed',
  'no_device',
  'rate',
  'expired',
  'collapsed',
  'blocked',
  'left',
  'deleted',
  'unsubscribed',
] as const;
export type NotificationReason = (typeof notificationReasons)[number];

export const levels = ['all', 'mentions', 'none'] as const;
export type Level = (typeof levels)[number];

/** Weekly windows of one user. */
export const maxWindows = 14;
export const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

const minute = z
  .string()
  .regex(/^([01][0-9]|2[0-3]):[0-5][0-9]$/, 'a time is HH:MM from 00:00 to 23:59')
  .describe('HH:MM, on the clock of the zone');

export const quietWindow = z.strictObject({
  day: z.enum(days).describe('the day on which the window begins'),
  from: minute,
  to: minute.describe('HH:MM; not after `from`: on the next day'),
  zone,
});
export type QuietWindow = z.output<typeof quietWindow>;

const level = z.enum(levels);
const shared = {
  level: level.optional().describe('absent: the next preference in the order counts'),
  channels: z
    .partialRecord(z.enum(channels), level)
    .optional()
    .describe('levels of single channels, which count instead of `level`'),
  snoozeUntil: instant.nullable().optional().describe('no notification before; milliseconds since 1970'),
};

export const roomPreferences = z.strictObject(shared);
export type RoomPreferences = z.output<typeof roomPreferences>;

export const userPreferences = z.strictObject({
  ...shared,
  kinds: z
    .partialRecord(z.enum(notificationKinds), z.boolean())
    .optional()
    .describe('whether a kind notifies, in rooms without a level of their own'),
  quiet: z.array(quietWindow).max(maxWindows).optional().describe('weekly quiet hours'),
  criticalBreaksQuiet: z.boolean().optional().describe('messages of the lane `critical` come in quiet hours too'),
  digest: z.enum(['off', 'hourly', 'daily', 'weekly']).optional().describe('how e-mails are gathered'),
  content: z.enum(['full', 'sender', 'none']).optional().describe('how much of a message a push shows'),
});
export type UserPreferences = z.output<typeof userPreferences>;

export const notification = z
  .object({
    id: z.uuid(),
    room: roomId,
    seq,
    at: instant.describe('the time of the message'),
    kind: z.enum(notificationKinds),
    lane: z.enum(lanes),
    read: z.boolean(),
  })
  .meta({ id: 'Notification' });

export const listedNotification = notification.extend({
  message: message.nullable().describe('null: the message is deleted or has expired'),
});

/** One line of an explanation: a channel or a device, and its state. */
export const explanation = z
  .object({
    channel: z.enum(channels),
    device: z.string().nullable(),
    kind: z.enum(notificationKinds).nullable(),
    lane: z.enum(lanes).nullable(),
    state: z.enum(notificationStates),
    reason: z.enum(notificationReasons).nullable(),
    stored: z.boolean().describe('false: nothing is stored, and the present state explains why'),
    attempts: z.int().min(0),
    error: z.string().nullable().describe('the failure of the last attempt'),
    due: instant.nullable(),
    created: instant.nullable(),
    updated: instant.nullable(),
  })
  .meta({ id: 'NotificationExplanation' });
