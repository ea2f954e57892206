/**
 * What this node knows of its connections, put together: who is here (connections), in which rooms (memberships), which
 * rooms that makes this node hear (occupancy), in which order their events go out (order), how they are written (delivery)
 * and what becomes of those who cannot follow (slow). Fan-out's events come in by the receiver.
 */
import type { Fanout, RoomEvent } from '../fanout/fanout.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Connections } from './connections.ts';
import { Delivery } from './broadcaster.ts';
import type { Topics } from '../transport/engineio/topics.ts';
import { FanoutReceiver } from './fanout-receiver.ts';
import { LocalMemberships } from './subscriptions.ts';
import { Occupancy } from './interest.ts';
import { RoomOrder, type RoomOrderParts } from '../recovery/resequencer.ts';
import { SlowConsumers, type SlowConsumerSettings } from './slow-consumers.ts';

export interface Local {
  readonly connections: Connections;
  readonly memberships: LocalMemberships;
  readonly occupancy: Occupancy;
  readonly order: RoomOrder;
  readonly delivery: Delivery;
  readonly slow: SlowConsumers;
  readonly receiver: FanoutReceiver;
  readonly mayDeliver: () => boolean;
}

export interface LocalParts {
  readonly topics: () => Topics;
  readonly settings: SlowConsumerSettings;
  readonly fanout: Fanout;
  readonly missed: RoomOrderParts['read'];
  readonly mayDeliver: RoomOrderParts['mayDeliver'];
  readonly tails: { delivered(event: RoomEvent): void; forget(room: string): void };
  readonly metrics: Metrics;
  readonly log: Log;
}

export function createLocal({ topics, settings, fanout, missed, mayDeliver, tails, metrics, log }: LocalParts): Local {
  const connections = new Connections();
  const slow = new SlowConsumers(settings, metrics, (room) => occupancy.settled(room));
  const memberships = new LocalMemberships({ connections, slow });
  const delivery = new Delivery({ connections, slow, topics, tails, mayDeliver, metrics });
  const order = new RoomOrder({
    deliver: (event) => delivery.toRoom(event),
    read: missed,
    heard: () => fanout.others?.heard === true,
    mayDeliver,
    metrics,
    log,
  });
  const occupancy: Occupancy = new Occupancy({ topics, slow, order, fanout, tails });
  const receiver = new FanoutReceiver({ connections, memberships, order, delivery, metrics, log });
  return { connections, memberships, occupancy, order, delivery, slow, receiver, mayDeliver };
}
