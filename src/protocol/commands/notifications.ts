/** The notifications of a user in the app, and the preferences. */
import { z } from 'zod';
import { cursor, pageLimit, type Declarations } from '../command-schema.ts';
import { limits } from '../limits.ts';
import { roomId, seq } from '../model.ts';
import { listedNotification, roomPreferences, userPreferences } from '../notifications.ts';

const unread = z.int().min(0).max(limits.unreadCount).describe(`${limits.unreadCount}: as many or more`);
const preferencesOutput = z.object({
  preferences: userPreferences.describe('those of a room have `level`, `channels` and `snoozeUntil` alone'),
});

export const notificationCommands = {
  'notification:list': {
    about:
      'Your notifications in the app, the newest first. Pass `before` on for the next page. A notification is read when ' +
      'you mark it, or when your read mark of its room passes it. Notifications of rooms that you have left are not listed.',
    kind: 'read',
    weight: 2,
    scope: 'notifications',
    http: {
      method: 'GET',
      path: '/notifications',
      pages: { items: 'notifications', next: [{ from: 'before', to: 'before' }] },
    },
    answer: 'page',
    input: z.object({ before: cursor.optional(), limit: pageLimit, unread: z.boolean().default(false) }),
    output: z.object({
      notifications: z.array(listedNotification),
      before: cursor.nullable(),
      more: z.boolean(),
    }),
    errors: [],
  },
  'notification:unread': {
    about: 'The number of your unread notifications in the app.',
    kind: 'read',
    weight: 1,
    scope: 'notifications',
    http: { method: 'GET', path: '/notifications/unread' },
    input: z.object({}),
    output: z.object({ unread }),
    errors: [],
  },
  'notification:mark': {
    about:
      'Marks notifications as read: those of `ids`, or those of `room` up to the message `upTo`, or all of them. Your read ' +
      'mark of the room stays.',
    kind: 'write',
    weight: 1,
    scope: 'notifications',
    http: { method: 'POST', path: '/notifications/read' },
    input: z.object({
      ids: z.array(z.uuid().toLowerCase()).min(1).max(limits.pageSize).optional(),
      room: roomId.optional(),
      upTo: seq.optional(),
    }),
    output: z.object({ unread }),
    errors: [],
  },
  'preferences:get': {
    about:
      'Your preferences of notifications, or those for a room. An absent field says nothing: the order is snooze, room, ' +
      'kind, user, default. By default direct rooms notify of all messages, and other rooms of mentions and followed threads.',
    kind: 'read',
    weight: 1,
    scope: 'notifications',
    http: { method: 'GET', path: '/preferences' },
    input: z.object({ room: roomId.optional() }),
    output: preferencesOutput.extend({
      rooms: z
        .record(roomId, roomPreferences)
        .optional()
        .describe(`without \`room\`: the preferences for rooms, at most the latest ${limits.preferredRooms}`),
    }),
    errors: ['not_found', 'not_member'],
  },
  'preferences:set': {
    about: 'Replaces your preferences of notifications, or those for a room. The answer has them as they are now.',
    kind: 'write',
    weight: 1,
    scope: 'notifications',
    http: { method: 'PUT', path: '/preferences' },
    input: z
      .object({ room: roomId.optional(), preferences: userPreferences })
      .refine(
        ({ room, preferences }) => room === undefined || roomPreferences.safeParse(preferences).success,
        'preferences of a room are `level`, `channels` and `snoozeUntil`',
      ),
    output: preferencesOutput,
    errors: ['not_found', 'not_member'],
  },
} as const satisfies Declarations;
