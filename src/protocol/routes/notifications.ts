/** Notifications over REST, beside the commands. */
import { z } from 'zod';
import { roomId, seq, userId } from '../model.ts';
import { explanation } from '../notifications.ts';
import type { RouteDeclarations } from '../route-schema.ts';

export const notificationRoutes = {
  'notification:explain': {
    about:
      'Why a user was notified of a message, or was not: each channel and device with its state, its reason and its times. ' +
      'Without a stored notification the answer says why there is none, by the present state. A user may ask about ' +
      'themselves; an API key that names no user may ask about every user.',
    kind: 'read',
    weight: 2,
    scope: 'notifications',
    callers: 'caller',
    http: { method: 'GET', path: '/notifications/explain' },
    input: z.object({ user: userId, room: roomId, seq }),
    output: z.object({ notifications: z.array(explanation) }),
    errors: ['not_found', 'forbidden'],
  },
} as const satisfies RouteDeclarations;
