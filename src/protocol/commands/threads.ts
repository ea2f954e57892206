/** Threads of replies. */
import { z } from 'zod';
import { cursor, pageLimit, type Declarations } from '../command-schema.ts';
import { limits } from '../limits.ts';
import { message, roomId, seq, thread } from '../model.ts';
import { oneDirection, pageInput, pageOutput, pagesOfMessages } from './message-pages.ts';

const inThread = z.object({ room: roomId, root: seq.describe('the root, or any message of the thread') });

export const threadCommands = {
  'thread:history': {
    about:
      'A page of the replies in a thread, in seq order, in the form of `history`. `root`: the first message of the ' +
      'thread; null if it has expired.',
    kind: 'read',
    weight: 2,
    scope: 'messages:read',
    http: {
      method: 'GET',
      path: '/rooms/{room}/messages/{root}/thread',
      pages: pagesOfMessages,
      asOwner: true,
    },
    answer: 'page',
    message: 'root',
    input: inThread.extend(pageInput).refine(...oneDirection),
    output: z.object({ root: message.nullable(), ...pageOutput }),
    errors: ['not_found', 'not_member'],
  },
  'thread:follow': {
    about:
      'Follows a thread, so that `thread:list` has it. A user who replies in a thread follows it, and so does the ' +
      `author of a message at its first reply. A user follows at most ${limits.followedThreads} threads; the next ` +
      'one replaces the longest followed.',
    kind: 'write',
    weight: 1,
    scope: 'messages:read',
    http: { method: 'PUT', path: '/rooms/{room}/threads/{root}/follow' },
    message: 'root',
    input: inThread,
    output: z.object({ root: seq, read: z.int().min(0) }),
    errors: ['not_found', 'not_member'],
  },
  'thread:unfollow': {
    about: 'Ends following a thread, until you reply in it again.',
    kind: 'write',
    weight: 1,
    scope: 'messages:read',
    http: { method: 'DELETE', path: '/rooms/{room}/threads/{root}/follow' },
    message: 'root',
    input: inThread,
    output: z.object({ root: seq }),
    errors: ['not_found', 'not_member'],
  },
  'thread:read': {
    about:
      'Moves your mark in a thread that you follow forward to `seq`; the mark never moves back. Your mark in the ' +
      'room (`read`) is another.',
    kind: 'write',
    weight: 1,
    scope: 'messages:read',
    http: { method: 'PUT', path: '/rooms/{room}/threads/{root}/read' },
    message: 'root',
    input: inThread.extend({ seq }),
    output: z.object({ root: seq, read: z.int().min(0).describe('the mark now') }),
    errors: ['not_found', 'not_member'],
  },
  'thread:list': {
    about:
      'The threads that you follow and that have replies, in the order of their last replies, the newest first. ' +
      'Pass `before` on for the next page.',
    kind: 'read',
    // reads every followed thread
    weight: 5,
    scope: 'messages:read',
    http: { method: 'GET', path: '/threads', pages: { items: 'threads', next: [{ from: 'before', to: 'before' }] } },
    answer: 'page',
    input: z.object({ before: cursor.optional(), limit: pageLimit }),
    output: z.object({
      threads: z.array(
        z.object({
          room: roomId,
          root: message.nullable(),
          thread,
          read: z.int().min(0).describe('your mark'),
          unread: z.int().min(0).max(limits.threadUnread).describe(`replies after it; ${limits.threadUnread}: or more`),
        }),
      ),
      before: cursor.nullable(),
      more: z.boolean(),
    }),
    errors: [],
  },
} as const satisfies Declarations;
