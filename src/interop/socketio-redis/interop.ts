/**
 * The door for backend services: `@socket.io/redis-emitter` in any of them, and real Socket.IO servers on the same Redis,
 * reach our connections by Socket.IO's own channels. Room events of Parley's own never take this way.
 *
 * Trust: whoever may publish on this Redis may speak to every client. What it says is checked for form, never for who.
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
import { Questions } from './requests.ts';
import { Refusals } from './refusals.ts';

export interface InteropSettings {
  readonly socketioKey: string;
  readonly socketioMaxMessageBytes: number;
  readonly socketioRoomsPerConnection: number;
  readonly socketioMaxListed: number;
}

export interface Interop {
  /** Resolves once what backend services publish reaches this node; or when Redis, with which it begins, is too slow. */
  subscribed(): Promise<void>;
  close(): void;
}

export interface InteropParts extends Pick<
  Hub,
  'connections' | 'subscriptions' | 'interest' | 'broadcaster' | 'mayDeliver'
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
  const questions = new Questions((error) => refusals.count(error));
  const maxRoomsPerConnection = settings.socketioRoomsPerConnection;
  const clients = openClients(redis, key, parts);
  new InteropAdapter(
    { key, maxMessageBytes, maxListed },
    {
      host: new Host({ ...parts, questions, refusals, maxRoomsPerConnection }),
      clients,
      audience: new Audience(parts),
      questions,
      refusals,
      metrics,
      roomNames: () => [...interest.rooms(), ...connections.adHocRooms.names()],
    },
  );
  return {
    subscribed: () => clients.subscribed(subscribeMs),
    close() {
      questions.stop();
      clients.close();
    },
  };
}
