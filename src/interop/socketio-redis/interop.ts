/**
 * Events of back ends: `@socket.io/redis-emitter` in any of them, and real Socket.IO servers on the same Redis, reach
 * Parley's connections by Socket.IO's channels. Parley's own events of rooms never use these channels.
 *
 * Trust: every service that may publish on this Redis may send to every client. Messages are checked for their form, not
 * for their sender.
 */
import type { RedisLink } from '../../storage/redis.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Hub } from '../../hub/hub.ts';
import type { Sockets } from '../../connect/sockets.ts';
import { InteropAdapter } from './adapter.ts';
import { Audience } from './audience.ts';
import { openClients } from './clients.ts';
import { Host } from './host.ts';
import { PendingAcks } from './pending-acks.ts';
import { Refusals } from './refusals.ts';

export interface InteropSettings {
  readonly socketioKey: string;
  readonly socketioMaxMessageBytes: number;
  readonly socketioRoomsPerConnection: number;
  readonly socketioMaxListed: number;
}

export interface Interop {
  /** Resolves when events of back ends reach this node, or after 5 s without Redis's confirmation. */
  subscribed(): Promise<void>;
  close(): void;
}

export interface InteropParts extends Pick<
  Hub,
  'connections' | 'subscriptions' | 'interest' | 'broadcaster' | 'lease'
> {
  readonly sockets: Sockets;
  readonly metrics: Metrics;
  readonly log: Log;
}

const subscribeMs = 5000;

export function openInterop(settings: InteropSettings, redis: RedisLink, parts: InteropParts): Interop {
  const { connections, interest, metrics, log } = parts;
  const { socketioKey: key, socketioMaxMessageBytes: maxMessageBytes, socketioMaxListed: maxListed } = settings;
  const refusals = new Refusals(metrics, log);
  const pendingAcks = new PendingAcks((error) => refusals.count(error));
  const maxRoomsPerConnection = settings.socketioRoomsPerConnection;
  const clients = openClients(redis, key, parts);
  new InteropAdapter(
    { key, maxMessageBytes, maxListed },
    {
      host: new Host({ ...parts, pendingAcks, refusals, maxRoomsPerConnection }),
      clients,
      audience: new Audience(parts),
      pendingAcks,
      refusals,
      metrics,
      roomNames: () => [...interest.rooms(), ...connections.adHocRooms.names()],
    },
  );
  return {
    subscribed: () => clients.subscribed(subscribeMs),
    close() {
      pendingAcks.stop();
      clients.close();
    },
  };
}
