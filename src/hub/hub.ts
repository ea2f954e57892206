/**
 * The part of a node that knows its connections, put together from the bottom up: each part is given those before it.
 *
 * connections (who is here) → off (slow connections that are off their rooms) → broadcaster (writes events to topics) →
 * order (the resequencer: rev order, gaps) → interest (rooms with connections here) → slow (slow consumers) →
 * subscriptions (which rooms a connection is in) → receiver (takes the envelopes of fan-out).
 */
import type { Fanout } from '../fanout/fanout.ts';
import type { ReplayBuffer } from '../recovery/replay-buffer.ts';
import { Resequencer } from '../recovery/resequencer.ts';
import type { WorkQueue } from '../recovery/work-queue.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Topics } from '../transport/engineio/topics.ts';
import { Broadcaster } from './broadcaster.ts';
import type { Connections } from './connections.ts';
import { FanoutReceiver } from './fanout-receiver.ts';
import { Interest } from './interest.ts';
import { OffRooms } from './off-rooms.ts';
import { SlowConsumers, type SlowConsumerSettings } from './slow-consumers.ts';
import { Subscriptions } from './subscriptions.ts';

export interface Hub {
  readonly connections: Connections;
  readonly off: OffRooms;
  readonly broadcaster: Broadcaster;
  readonly order: Resequencer;
  readonly interest: Interest;
  readonly slow: SlowConsumers;
  readonly memberships: Subscriptions;
  readonly receiver: FanoutReceiver;
  readonly mayDeliver: () => boolean;
}

export interface HubParts {
  readonly connections: Connections;
  readonly topics: Topics;
  readonly settings: SlowConsumerSettings;
  readonly fanout: Fanout;
  /** Rooms with a gap, for the backfiller. */
  readonly gaps: WorkQueue;
  readonly replay: Pick<ReplayBuffer, 'delivered' | 'forget'>;
  /** Whether what this node knows of memberships is recent enough. */
  readonly mayDeliver: () => boolean;
  readonly metrics: Metrics;
  readonly log: Log;
}

export function createHub(parts: HubParts): Hub {
  const { connections, topics, settings, fanout, gaps, replay, mayDeliver, metrics, log } = parts;
  const off = new OffRooms(metrics);
  const broadcaster = new Broadcaster({ connections, off, topics, replay, mayDeliver, metrics });
  const order = new Resequencer({
    deliver: (event) => broadcaster.toRoom(event),
    gaps,
    reachable: () => fanout.others?.reachable === true,
    mayDeliver,
    metrics,
    log,
  });
  const interest = new Interest({ topics, off, order, fanout, replay });
  const slow = new SlowConsumers(settings, { off, interest, metrics });
  const memberships = new Subscriptions({ connections, slow });
  const receiver = new FanoutReceiver({ connections, memberships, order, broadcaster, metrics, log });
  return { connections, off, broadcaster, order, interest, slow, memberships, receiver, mayDeliver };
}
