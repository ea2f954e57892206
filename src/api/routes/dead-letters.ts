/** Dead letters over REST. They are of rooms of any id, so that a key for some rooms alone may not manage them. */
import type { DeadLetters } from '../../notifications/dead-letters/dead-letters.ts';
import type { deadLetterRoutes } from '../../protocol/routes/dead-letters.ts';
import { requireRooms } from '../identity.ts';
import type { ApiRequest, RouteHandlers } from '../operation.ts';

export function deadLetterHandlers(deadLetters: DeadLetters): RouteHandlers<typeof deadLetterRoutes> {
  return {
    'dead:list': (request) => {
      requireManager(request);
      return deadLetters.list(request.input);
    },
    'dead:replay': (request) => {
      requireManager(request);
      return deadLetters.replay(request.input, callerOf(request));
    },
    'dead:drop': (request) => {
      requireManager(request);
      return deadLetters.drop(request.input, callerOf(request));
    },
  };
}

function requireManager({ identity }: ApiRequest): void {
  requireRooms(identity, 'webhooks', []);
}

/** The key of the caller, for the log. */
function callerOf({ identity }: ApiRequest): string {
  return identity.kind === 'key' ? `key ${identity.key.id}` : identity.kind;
}
