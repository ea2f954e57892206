/** Webhooks over REST. A webhook gets events of rooms of any id, so that a key for some rooms alone may not manage webhooks. */
import type { StoredWebhooks } from '../../notifications/webhooks/stored-webhooks.ts';
import type { webhookRoutes } from '../../protocol/routes/webhooks.ts';
import { requireRooms } from '../identity.ts';
import type { ApiRequest, RouteHandlers } from '../operation.ts';

export function webhookHandlers(webhooks: StoredWebhooks): RouteHandlers<typeof webhookRoutes> {
  return {
    'webhook:list': async (request) => {
      requireManager(request);
      return { webhooks: await webhooks.list() };
    },
    'webhook:create': (request) => {
      requireManager(request);
      return webhooks.create(request.input);
    },
    'webhook:get': (request) => {
      requireManager(request);
      return webhooks.get(request.input.id);
    },
    'webhook:update': (request) => {
      requireManager(request);
      return webhooks.update(request.input);
    },
    'webhook:delete': (request) => {
      requireManager(request);
      return webhooks.delete(request.input.id);
    },
    'webhook:rotate': (request) => {
      requireManager(request);
      return webhooks.rotate(request.input);
    },
    'webhook:test': (request) => {
      requireManager(request);
      return webhooks.test(request.input.id);
    },
    'webhook:deliveries': (request) => {
      requireManager(request);
      return webhooks.deliveries(request.input);
    },
    'webhook:replay': (request) => {
      requireManager(request);
      return webhooks.replay(request.input.id, request.input.delivery);
    },
  };
}

function requireManager({ identity }: ApiRequest): void {
  requireRooms(identity, 'webhooks', []);
}
