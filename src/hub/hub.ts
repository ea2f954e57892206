/**
 * The part of a node that knows its connections. Its parts are made from the bottom up, each with those before it:
 *
 * 1. connections: by session and user
 * 2. offRooms: rooms that slow connections have left
 * 3. followers: streams, each in one room
 * 4. broadcaster: writes events to topics and followers
 * 5. resequencer: rev order and gaps
 * 6. interest: rooms with connections or followers here
 * 7. slowConsumers: keeps the buffers of slow connections small
 * 8. subscriptions: the rooms of each connection and follower
 * 9. receiver: takes the envelopes of fan-out
 */
import type { Fanout } from '../fanout/fanout.ts';
import type { ReplayBuffer } from '../recovery/replay-buffer.ts';
import { Resequencer } from '../recovery/resequencer.ts';
import type { WorkQueue } from '../recovery/work-queue.ts';
import type { SessionRegistry } from '../sessions/registry.ts';
import type { Lease } from '../storage/lease.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Topics } from '../transport/engineio/topics.ts';
import { Broadcaster } from './broadcaster.ts';
import type { Connections } from './connections.ts';
import { FanoutReceiver } from './fanout-receiver.ts';
import { Followers } from './followers.ts';
import { Interest } from './interest.ts';
import { OffRooms } from './off-rooms.ts';
import { SlowConsumers, type SlowConsumerSettings } from './slow-consumers.ts';
import { Subscriptions } from './subscriptions.ts';

export interface Hub {
  readonly connections: Connections;
  readonly offRooms: OffRooms;
  readonly followers: Followers;
  readonly broadcaster: Broadcaster;
  readonly resequencer: Resequencer;
  readonly interest: Interest;
  readonly slowConsumers: SlowConsumers;
  readonly subscriptions: Subscriptions;
  readonly receiver: FanoutReceiver;
  readonly lease: Pick<Lease, 'held'>;
}

export interface HubParts {
  readonly connections: Connections;
  readonly topics: Topics;
  readonly settings: SlowConsumerSettings;
  readonly fanout: Fanout;
  /** Rooms with a gap, for the backfiller. */
  readonly gaps: WorkQueue;
  readonly replay: Pick<ReplayBuffer, 'delivered' | 'forget'>;
  readonly registry: Pick<SessionRegistry, 'received' | 'departed'>;
  /** Says whether the memberships that this node knows are recent enough to deliver by. */
  readonly lease: Pick<Lease, 'held' | 'hurry'>;
  readonly metrics: Metrics;
  readonly log: Log;
}

export function createHub(parts: HubParts): Hub {
  const { connections, topics, settings, fanout, gaps, replay, registry, lease, metrics, log } = parts;
  const offRooms = new OffRooms(metrics, log);
  const followers = new Followers();
  const broadcaster = new Broadcaster({ connections, offRooms, followers, topics, replay, lease, metrics, log });
  const resequencer = new Resequencer({ broadcaster, gaps, others: fanout.others, lease, metrics, log });
  const interest = new Interest({ topics, offRooms, followers, resequencer, fanout, replay });
  const slowConsumers = new SlowConsumers(settings, { offRooms, interest, metrics, log });
  const subscriptions = new Subscriptions({ connections, followers, slowConsumers, lease, log });
  const receiver = new FanoutReceiver({
    connections,
    subscriptions,
    resequencer,
    broadcaster,
    registry,
    lease,
    metrics,
    log,
  });
  return {
    connections,
    offRooms,
    followers,
    broadcaster,
    resequencer,
    interest,
    slowConsumers,
    subscriptions,
    receiver,
    lease,
  };
}
