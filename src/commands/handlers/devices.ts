/** The devices of a user. */
import type { Devices } from '../../notifications/devices.ts';
import type { deviceCommands } from '../../protocol/commands/devices.ts';
import type { HandlersOf } from '../table.ts';

export function deviceHandlers(devices: Devices): HandlersOf<typeof deviceCommands> {
  return {
    'device:register': async ({ user }, input) => ({ device: await devices.register(user.id, input) }),
    'device:list': ({ user }) => devices.list(user.id),
    'device:remove': async ({ user }, { id }) => {
      await devices.remove(user.id, id);
      return {};
    },
  };
}
