/**
 * What this node knows of its connections, put together: who is here (connections), in which rooms (memberships), which
 * rooms that makes this node hear (occupancy), in which order their events go out (order), how they are written (delivery)
 * and what becomes of those who cannot follow (slow). Fan-out's events come in by the receiver.
 */
import type { Fanout, RoomEvent } from '../fanout/fanout.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Connections } from './connections.ts';
import { Broadcaster } from './broadcaster.ts';
import type { Topics } from '../transport/engineio/topics.ts';
import { FanoutReceiver } from './fanout-receiver.ts';
import { Subscriptions } from './subscriptions.ts';
import { Interest } from './interest.ts';
import { Resequencer, type ResequencerParts } from '../recovery/resequencer.ts';
import { SlowConsumers, type SlowConsumerSettings } from './slow-consumers.ts';

export interface Hub {
  readonly connections: Connections;
  readonly memberships: Subscriptions;
  readonly interest: Interest;
  readonly order: Resequencer;
  readonly broadcaster: Broadcaster;
  readonly slow: SlowConsumers;
  readonly receiver: FanoutReceiver;
  readonly mayDeliver: () => boolean;
}

export interface HubParts {
  readonly topics: () => Topics;
  readonly settings: SlowConsumerSettings;
  readonly fanout: Fanout;
  readonly backfill: ResequencerParts['read'];
  readonly mayDeliver: ResequencerParts['mayDeliver'];
  readonly replay: { delivered(event: RoomEvent): void; forget(room: string): void };
  readonly metrics: Metrics;
  readonly log: Log;
}

export function createHub({ topics, settings, fanout, backfill, mayDeliver, replay, metrics, log }: HubParts): Hub {
  const connections = new Connections();
  const slow = new SlowConsumers(settings, metrics, (room) => interest.settled(room));
  const memberships = new Subscriptions({ connections, slow });
  const broadcaster = new Broadcaster({ connections, slow, topics, replay, mayDeliver, metrics });
  const order = new Resequencer({
    deliver: (event) => broadcaster.toRoom(event),
    read: backfill,
    reachable: () => fanout.others?.reachable === true,
    mayDeliver,
    metrics,
    log,
  });
  const interest: Interest = new Interest({ topics, slow, order, fanout, replay });
  const receiver = new FanoutReceiver({ connections, memberships, order, broadcaster, metrics, log });
  return { connections, memberships, interest, order, broadcaster, slow, receiver, mayDeliver };
}
