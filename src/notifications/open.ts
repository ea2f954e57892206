/** Notifications of a process: the lanes, webhooks, pushes, and with the role `worker` the work on their jobs. */
import type { Activity } from '../presence/activity.ts';
import type { ServerClock } from '../storage/clock.ts';
import type { Database } from '../storage/database.ts';
import type { Release } from '../storage/open.ts';
import type { RedisLink } from '../storage/redis.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Lanes } from './lanes/lanes.ts';
import { openLanes, type LaneSettings } from './lanes/open.ts';
import { Outgoing, type OutgoingSettings } from './outgoing.ts';
import type { DeviceParts, DeviceSettings } from './devices.ts';
import { DeadLetters } from './dead-letters/dead-letters.ts';
import { openPush, type PushOptions } from './push/open.ts';
import { openWebhooks, type WebhooksOptions } from './webhooks/open.ts';
import type { StoredWebhooks } from './webhooks/stored-webhooks.ts';

export interface NotificationSettings extends LaneSettings {
  /** Whether this process has the role `worker`. A process without it adds jobs, and runs none. */
  readonly works: boolean;
  readonly outgoing: OutgoingSettings;
  readonly webhooks: WebhooksOptions['settings'];
  readonly push: PushOptions['settings'] & DeviceSettings;
}

export interface NotificationParts {
  readonly redis: RedisLink | undefined;
  readonly database: Database;
  readonly clock: ServerClock;
  readonly activity: Pick<Activity, 'of'>;
  /** The version of Parley, which receivers of requests see. */
  readonly version: string;
}

export interface Notifications {
  readonly lanes: Lanes;
  readonly webhooks: StoredWebhooks;
  readonly deadLetters: DeadLetters;
  /** The parts of registrations of devices. */
  readonly devices: Pick<DeviceParts, 'settings' | 'outgoing' | 'key'>;
}

interface Surroundings {
  readonly metrics: Metrics;
  readonly log: Log;
  readonly releases: Release[];
}

/** @throws {StartupError} where Redis may evict jobs, or the tables of the queues cannot be made. */
export async function openNotifications(
  settings: NotificationSettings,
  { redis, database, clock, activity, version }: NotificationParts,
  { metrics, log, releases }: Surroundings,
): Promise<Notifications> {
  const lanes = await openLanes(settings, { redis, database, metrics: metrics.lanes, log });
  releases.push(() => lanes.stop());
  const outgoing = new Outgoing(settings.outgoing);
  const common = { database, lanes, outgoing, version, metrics, log };
  const { webhooks, handlers, upkeep } = openWebhooks({ ...common, settings: settings.webhooks });
  if (settings.works) {
    const push = { ...common, settings: settings.push, activity, now: () => clock.now() };
    lanes.work({ ...handlers, ...openPush(push) });
    releases.push(() => upkeep.stop());
    upkeep.start();
  }
  const deadLetters = new DeadLetters({
    sql: database.sql,
    activity,
    addJobs: (jobs) => lanes.add(jobs),
    pushTtlMs: settings.push.ttlMs,
    now: () => clock.now(),
    log,
  });
  const devices = { settings: settings.push, outgoing, key: settings.push.vapid?.publicKey };
  return { lanes, webhooks, deadLetters, devices };
}
