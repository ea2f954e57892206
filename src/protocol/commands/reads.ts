/** Pages of a room, and what changed in rooms since a cursor. */
import { z } from 'zod';
import type { Declarations } from '../command-schema.ts';
import { limits } from '../limits.ts';
import { epoch, message, rev, roomId } from '../model.ts';
import { oneDirection, pageInput, pageOutput, pagesOfMessages } from './message-pages.ts';

export const pullCommands = {
  history: {
    about:
      'A page of a room, in seq order. `before` pages back (without either: the newest page), `after` pages on. ' +
      '`rev` is the head of the room in the same snapshot: a cursor to sync from. With `before` or `after` and an ' +
      '`epoch` that is not the present one the answer is `reset`, without messages. Drop the messages that you hold ' +
      'then, and call it again without either.',
    kind: 'read',
    weight: 2,
    scope: 'messages:read',
    http: {
      method: 'GET',
      path: '/rooms/{room}/messages',
      pages: pagesOfMessages,
      asOwner: true,
    },
    answer: 'page',
    input: z
      .object({
        room: roomId,
        ...pageInput,
        epoch: epoch.optional().describe('the epoch of your messages of the room'),
      })
      .refine(...oneDirection),
    output: z.object({
      ...pageOutput,
      epoch,
      reset: z.boolean().optional(),
    }),
    errors: ['not_found', 'not_member'],
  },
  sync: {
    about:
      'The changes of rooms since the cursors, in rev order, each message in its present state. Call it again with ' +
      'the returned revs while `more` is true. `reset`: the cursor is not of this room, or from before messages of ' +
      'it expired, or of another epoch. Drop the messages that you hold then, and load history. A room you may not ' +
      'see is left out of the answer. Send the `epoch` that `ready` named when you got the cursors. Without it the ' +
      'server finds only cursors beyond the head, and those of a connection that was there when the database went ' +
      'back in time.',
    kind: 'read',
    weight: 2,
    scope: 'messages:read',
    http: { method: 'POST', path: '/sync' },
    answer: 'page',
    input: z.object({
      cursors: z
        .record(roomId, rev)
        .refine((c) => Object.keys(c).length <= limits.syncRooms, `at most ${limits.syncRooms} rooms`)
        .meta({ maxProperties: limits.syncRooms }),
      limit: z.int().min(1).max(limits.syncMessages).default(500),
      bytes: z.int().min(1024).max(limits.syncBytes).default(limits.syncBytes),
      epoch: epoch.optional().describe('of the cursors'),
    }),
    output: z.object({
      rooms: z.record(
        roomId,
        z.object({ messages: z.array(message), rev, more: z.boolean(), reset: z.boolean().optional() }),
      ),
      more: z.boolean(),
      epoch,
    }),
    errors: [],
  },
} as const satisfies Declarations;
