/** The notifications of a user in the app, and the preferences. */
import type { Notifications } from '../../notifications/notifications.ts';
import type { notificationCommands } from '../../protocol/commands/notifications.ts';
import { Encoded } from '../encoded.ts';
import type { HandlersOf } from '../table.ts';

export function notificationHandlers(notifications: Notifications): HandlersOf<typeof notificationCommands> {
  const { preferences } = notifications;
  return {
    'notification:list': async ({ user }, input) => new Encoded(await notifications.list(user.id, input)),
    'notification:unread': ({ user }) => notifications.unread(user.id),
    'notification:mark': ({ user }, input) => notifications.mark(user.id, input),
    'preferences:get': async ({ user }, { room }) => {
      const own = await preferences.get(user.id, room);
      return room === undefined ? { preferences: own, rooms: await preferences.rooms(user.id) } : { preferences: own };
    },
    'preferences:set': async ({ user }, { room, preferences: document }) => {
      await preferences.set(user.id, room, document);
      return { preferences: document };
    },
  };
}
