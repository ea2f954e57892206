/** Presence and sessions as one part: makes its parts in the form that the node needs. */
import { RevocationWatch } from '../sessions/revocation-watch.ts';
import type { Revocation, Revocations } from '../sessions/revocations.ts';
import { limits } from '../protocol/limits.ts';
import type { Lease } from '../storage/lease.ts';
import type { RedisLink } from '../storage/redis.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { MemoryActivity, type Activity } from './activity.ts';
import { MemoryPresence } from './memory.ts';
import { LoneNode, type NodeHost, type Nodes } from './nodes.ts';
import type { Presence } from './presence.ts';
import { RedisActivity } from './redis-activity.ts';
import { RedisNodes } from './redis-nodes.ts';
import { RedisPresence } from './redis.ts';
import { Watching, type WatchingOptions } from './watching.ts';

/** The part with the connections. */
export interface PresenceHost<W extends object> extends Pick<
  WatchingOptions<W>,
  'viewerOf' | 'sendPresence' | 'ended'
> {
  sessionsOf: NodeHost['sessionsOf'];
  /** Closes the connections of the revoked sessions. */
  revoked(revocation: Revocation): Promise<void>;
}

export interface PresenceOptions<W extends object> extends Pick<WatchingOptions<W>, 'sights'> {
  /** Absent: this node is alone. */
  readonly redis: RedisLink | undefined;
  readonly redisPrefix: string;
  readonly node: string;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly host: PresenceHost<W>;
  readonly revocations: Revocations;
  readonly lease: Lease;
}

export interface PresencePart<W extends object> {
  readonly presence: Presence;
  readonly watching: Watching<W>;
  readonly activity: Activity;
  readonly nodes: Nodes;
  readonly revocations: Revocations;
  /** The database went back in time: all revocations are read again. */
  restart(): void;
  close(): Promise<void>;
}

/** Watches are checked four times a second, and each check fails while Postgres is unavailable. A metric counts them. */
const warnEveryMs = 10_000;

export async function openPresence<W extends object>(options: PresenceOptions<W>): Promise<PresencePart<W>> {
  const { redis, redisPrefix: prefix, node, metrics, log, host, sights, revocations, lease } = options;
  let warnedAt = -Infinity;
  const watching = new Watching<W>({
    sights,
    maxWatched: limits.presenceWatched,
    viewerOf: (watcher) => host.viewerOf(watcher),
    sendPresence: (watchers, user, presence) => host.sendPresence(watchers, user, presence),
    ended: (watcher, user) => host.ended(watcher, user),
    mayPublish: () => lease.held,
    fault: (error) => {
      metrics.repairFailures.inc({ what: 'watches' });
      const now = performance.now();
      if (now - warnedAt < warnEveryMs) return;
      warnedAt = now;
      log.warn(
        { err: error },
        'Could not check which users watchers may see; retrying. Changes of presence wait until then.',
      );
    },
  });
  const watch = new RevocationWatch({ revocations, apply: (revocation) => host.revoked(revocation), log });
  const nodeHost: NodeHost = {
    sessionsOf: (user) => host.sessionsOf(user),
    revocationsChanged: () => {
      watch.hurry();
      lease.hurry();
    },
  };
  let presence: Presence;
  let nodes: Nodes;
  let activity: Activity;
  if (redis === undefined) {
    presence = new MemoryPresence(watching);
    nodes = new LoneNode(nodeHost);
    activity = new MemoryActivity();
  } else {
    const shared = new RedisPresence({ redis, prefix, node, listener: watching, log });
    presence = shared;
    activity = new RedisActivity({ redis, prefix });
    nodes = new RedisNodes({
      redis,
      prefix,
      log,
      host: nodeHost,
      incarnation: () => shared.incarnation,
      unreadable: () => metrics.foreignMessages.inc({ reason: 'node' }),
    });
  }
  revocations.onStored(() => nodes.revocationsChanged());
  watching.start(presence);
  metrics.watchPresence({ users: () => presence.localUsers, watched: () => watching.pairs });
  await watch.start();
  lease.follow(() => watch.read());
  return {
    presence,
    watching,
    activity,
    nodes,
    revocations,
    restart: () => watch.restart(),
    async close() {
      await watching.stop();
      await watch.stop();
      await nodes.close();
      await activity.close();
      await presence.close();
    },
  };
}
