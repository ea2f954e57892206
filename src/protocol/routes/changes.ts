/** The changes of one room, for clients that keep a copy of it. */
import { z } from 'zod';
import { epoch, message, rev, roomId } from '../model.ts';
import { limits } from '../limits.ts';
import type { RouteDeclarations } from '../route-schema.ts';

export const changeRoutes = {
  'room:changes': {
    about:
      'The messages of a room that changed after a rev, in rev order, each in its present state: new, edited, deleted or ' +
      'reacted to. `rev` is the place that the page reaches; begin there the next time. `reset`: `after` is not a place of ' +
      'this room, or messages since then have expired, or `epoch` is another one. Drop the messages that you hold then, and ' +
      'read the history.',
    kind: 'read',
    weight: 2,
    scope: 'messages:read',
    callers: 'caller',
    http: {
      method: 'GET',
      path: '/rooms/{room}/changes',
      pages: { items: 'messages', next: [{ from: 'next', to: 'after' }] },
      asOwner: true,
    },
    input: z.object({
      room: roomId,
      after: rev.describe('the `rev` of the answer before, or that of the history; 0: from the beginning'),
      limit: z.int().min(1).max(limits.pageSize).default(50),
      epoch: epoch.optional().describe('of `after`'),
    }),
    output: z.object({
      messages: z.array(message),
      next: rev.nullable(),
      more: z.boolean(),
      rev,
      epoch,
      reset: z.boolean().optional(),
    }),
    errors: ['not_found', 'not_member'],
  },
} as const satisfies RouteDeclarations;
