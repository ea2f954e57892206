/** Threads of replies. */
import { z } from 'zod';
import { cursor, pageLimit, type Declarations } from '../command-schema.ts';
import { limits } from '../limits.ts';
import { message, rev, roomId, seq, thread } from '../model.ts';

const inThread = z.object({ room: roomId, root: seq.describe('the root, or any message of the thread') });

export const threadCommands = {
  'thread:history': {
    about:
      'A page of the replies in a thread, in seq order, as `history` gives one of a room. `root`: the message at its ' +
      'head; null if it has expired.',
    kind: 'read',
    weight: 2,
    answer: 'page',
    message: 'root',
    input: inThread
      .extend({ before: seq.optional(), after: z.int().min(0).optional(), limit: pageLimit })
      .refine((page) => page.before === undefined || page.after === undefined, 'give before or after, not both'),
    output: z.object({
      root: message.nullable(),
      messages: z.array(message),
      before: seq.nullable(),
      after: seq.nullable(),
      more: z.boolean().describe('there is more in the direction that was asked for'),
      rev,
    }),
    errors: ['not_found', 'not_member'],
  },
  'thread:follow': {
    about:
      'Follows a thread, so that `thread:list` has it. Who answers follows it by that, and so does the author of a ' +
      `message that is answered for the first time. Of more than ${limits.followedThreads} the longest followed are let go.`,
    kind: 'write',
    weight: 1,
    message: 'root',
    input: inThread,
    output: z.object({ root: seq, read: z.int().min(0) }),
    errors: ['not_found', 'not_member'],
  },
  'thread:unfollow': {
    about: 'Follows a thread no more, until you answer in it again.',
    kind: 'write',
    weight: 1,
    message: 'root',
    input: inThread,
    output: z.object({ root: seq }),
    errors: ['not_found', 'not_member'],
  },
  'thread:read': {
    about:
      'Moves your mark in a thread that you follow forward to `seq`; it never moves back. Your mark in the room (`read`) ' +
      'is another.',
    kind: 'write',
    weight: 1,
    message: 'root',
    input: inThread.extend({ seq }),
    output: z.object({ root: seq, read: z.int().min(0).describe('where the mark stands now') }),
    errors: ['not_found', 'not_member'],
  },
  'thread:list': {
    about:
      'The threads that you follow and that have replies, that of the last reply first. Pass `before` on for the next page.',
    kind: 'read',
    // looks at every followed thread
    weight: 5,
    answer: 'page',
    input: z.object({ before: cursor.optional(), limit: pageLimit }),
    output: z.object({
      threads: z.array(
        z.object({
          room: roomId,
          root: message.nullable(),
          thread,
          read: z.int().min(0).describe('where your mark stands'),
          unread: z.int().min(0).max(limits.threadUnread).describe(`replies after it; ${limits.threadUnread}: or more`),
        }),
      ),
      before: cursor.nullable(),
      more: z.boolean(),
    }),
    errors: [],
  },
} as const satisfies Declarations;
