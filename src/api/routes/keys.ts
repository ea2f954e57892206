/** API keys over REST. A key makes keys without limits, so that a key for some rooms alone may not manage keys. */
import type { keyRoutes } from '../../protocol/routes/keys.ts';
import { requireRooms } from '../identity.ts';
import type { KeyManagement } from '../keys/stored-keys.ts';
import type { ApiRequest, RouteHandlers } from '../operation.ts';

export function keyHandlers(keys: KeyManagement): RouteHandlers<typeof keyRoutes> {
  return {
    'key:list': async (request) => {
      requireManager(request);
      return { keys: await keys.list() };
    },
    'key:create': (request) => {
      requireManager(request);
      return keys.create(request.input);
    },
    'key:rotate': (request) => {
      requireManager(request);
      return keys.rotate(request.input);
    },
    'key:revoke': (request) => {
      requireManager(request);
      return keys.revoke(request.input);
    },
  };
}

function requireManager({ identity }: ApiRequest): void {
  requireRooms(identity, 'admin', []);
}
