/** Read marks, delivered marks, and what is unread. */
import { z } from 'zod';
import { pageLimit, type Declarations } from '../command-schema.ts';
import { limits } from '../limits.ts';
import { instant, roomId, seq, userId } from '../model.ts';

export const receiptCommands = {
  read: {
    about:
      'Moves your read mark forward to `seq`; the mark never moves back. Your other devices get `read`, and so does ' +
      `a room of at most ${limits.readReceiptMembers} members.`,
    kind: 'write',
    weight: 1,
    scope: 'messages:read',
    http: { method: 'PUT', path: '/rooms/{room}/read' },
    mark: 'seq',
    input: z.object({ room: roomId, seq }),
    output: z.object({ seq: z.int().min(0).describe('the mark now') }),
    errors: ['not_found', 'not_member'],
  },
  delivered: {
    about:
      'Says that this device has the messages up to `seq`. The ack comes at once. The mark is written within a ' +
      'second, with others, and never moves back; the room gets `delivered`. In rooms of more than ' +
      `${limits.readReceiptMembers} members the mark is neither kept nor sent. A read message is delivered: clients ` +
      'that read at once need not send both.',
    kind: 'write',
    weight: 1,
    scope: 'messages:read',
    http: { method: 'PUT', path: '/rooms/{room}/delivered' },
    mark: 'seq',
    input: z.object({ room: roomId, seq }),
    output: z.object({}),
    errors: ['not_found', 'not_member'],
  },
  'room:receipts': {
    about: 'Up to where the members of a room have its messages and have read them, in user id order.',
    kind: 'read',
    weight: 2,
    scope: 'messages:read',
    http: {
      method: 'GET',
      path: '/rooms/{room}/receipts',
      pages: { items: 'receipts', next: [{ from: 'after', to: 'after' }] },
      asOwner: true,
    },
    answer: 'list',
    input: z.object({ room: roomId, after: userId.optional(), limit: pageLimit }),
    output: z.object({
      receipts: z.array(
        z.object({
          user: userId,
          read: z.int().min(0),
          delivered: z.int().min(0).describe('never below `read`, and equal to it in rooms where it is not kept'),
        }),
      ),
      after: userId.nullable(),
      more: z.boolean(),
    }),
    errors: ['not_found', 'not_member'],
  },
  unread: {
    about:
      'The unread messages of all your rooms at once, in room id order; pass `after` on if there are more than ' +
      `${limits.unreadRooms} rooms. Your own messages and expired ones count as read.`,
    kind: 'read',
    weight: 5,
    scope: 'messages:read',
    http: { method: 'GET', path: '/unread', pages: { items: 'rooms', next: [{ from: 'after', to: 'after' }] } },
    answer: 'page',
    input: z.object({ after: roomId.optional() }),
    output: z.object({
      rooms: z.array(
        z.object({
          room: roomId,
          unread: z.int().min(0).max(limits.unreadCount).describe(`${limits.unreadCount}: as many or more`),
          mentions: z
            .int()
            .min(0)
            .max(limits.unreadCount)
            .describe('unread messages that mention you, without those of users whom you have blocked'),
          read: z.int().min(0).describe('your read mark'),
          seq: z.int().min(0).describe('the number of the last message, 0 if there was none'),
          at: instant.nullable().describe('when it was committed; null if there is none, or it has expired'),
        }),
      ),
      after: roomId.nullable(),
      more: z.boolean(),
    }),
    errors: [],
  },
} as const satisfies Declarations;
