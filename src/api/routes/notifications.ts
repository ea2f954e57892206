/** Why a user was notified of a message, or was not. */
import type { Notifications } from '../../notifications/notifications.ts';
import { ParleyError } from '../../protocol/errors.ts';
import { notificationRoutes } from '../../protocol/routes/notifications.ts';
import { callerOf, requireRooms, type ActingParts } from '../identity.ts';
import type { RouteHandlers } from '../operation.ts';

export interface NotificationParts extends ActingParts {
  readonly notifications: Pick<Notifications, 'explain'>;
}

export function notificationHandlers(parts: NotificationParts): RouteHandlers<typeof notificationRoutes> {
  return {
    'notification:explain': async ({ identity, input }) => {
      const { http, scope } = notificationRoutes['notification:explain'];
      requireRooms(identity, scope, [input.room]);
      if (identity.kind === 'key' && identity.user === undefined)
        return { notifications: await parts.notifications.explain(input) };
      const { user } = await callerOf(identity, http, [input.room], parts);
      if (user.id !== input.user) throw new ParleyError('forbidden', 'You may ask about your own notifications alone.');
      return { notifications: await parts.notifications.explain({ ...input, isOwn: true }) };
    },
  };
}
