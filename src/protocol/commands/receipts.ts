/** Read marks, delivered marks, and what is unread. */
import { z } from 'zod';
import { pageLimit, type Declarations } from '../command-schema.ts';
import { limits } from '../limits.ts';
import { instant, roomId, seq, userId } from '../model.ts';

export const receiptCommands = {
  read: {
    about: 'Moves your read mark forward to `seq`; it never moves back. Your other devices and the room are told.',
    kind: 'write',
    weight: 1,
    mark: 'seq',
    input: z.object({ room: roomId, seq }),
    output: z.object({ seq: z.int().min(0).describe('where the mark stands now') }),
    errors: ['not_found', 'not_member'],
  },
  delivered: {
    about:
      'Says that this device has the messages up to `seq`. The ack comes at once; the mark is written within a second, with ' +
      'others, never moves back, and is told to the room. In rooms of more than ' +
      `${limits.readReceiptMembers} members it is neither kept nor told. What is read is delivered: clients that read at once need not say both.`,
    kind: 'write',
    weight: 1,
    mark: 'seq',
    input: z.object({ room: roomId, seq }),
    output: z.object({}),
    errors: ['not_member'],
  },
  'room:receipts': {
    about: 'Up to where the members of a room have its messages and have read them, in user id order.',
    kind: 'read',
    weight: 2,
    answer: 'list',
    input: z.object({ room: roomId, after: userId.optional(), limit: pageLimit }),
    output: z.object({
      receipts: z.array(
        z.object({
          user: userId,
          read: z.int().min(0),
          delivered: z.int().min(0).describe('never below `read`; in rooms where it is not kept the same'),
        }),
      ),
      after: userId.nullable(),
      more: z.boolean(),
    }),
    errors: ['not_found', 'not_member'],
  },
  unread: {
    about:
      `What you have not read, of all your rooms at once, in room id order; pass \`after\` on if they are more than ${limits.unreadRooms}. ` +
      'Messages of yours, and such as expired, count as read.',
    kind: 'read',
    weight: 5,
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
            .describe('those of them that mention you, without those of users whom you have blocked'),
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
