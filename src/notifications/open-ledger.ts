/**
 * Makes the ledger of notifications and its notifier of the parts of a node, and starts them. A process with connections and
 * presence settles the rows of the app that wait. Any worker may take a job of the lanes, so these rows are no jobs of them.
 */
import type { Fanout } from '../fanout/fanout.ts';
import type { Messaging } from '../messaging.ts';
import type { Activity } from '../presence/activity.ts';
import type { Presence } from '../presence/presence.ts';
import type { Database } from '../storage/database.ts';
import type { Release } from '../storage/open.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Lanes } from './lanes/lanes.ts';
import { ChannelLanes } from './channel-lanes.ts';
import { LedgerLanes } from './ledger-lanes.ts';
import { Notifications, type NotificationsParts } from './notifications.ts';

export interface LedgerSettings {
  readonly on: boolean;
  readonly ledgerDays: number;
}

export interface LedgerParts {
  readonly database: Database;
  readonly fanout: Fanout;
  readonly presence: Presence;
  readonly activity: Activity;
  readonly messaging: Pick<Messaging, 'now' | 'reading'>;
  /** For the jobs that leave the server. */
  readonly lanes: Pick<Lanes, 'add' | 'cancel'>;
  readonly devices: NotificationsParts['devices'];
}

interface Base {
  readonly metrics: Metrics;
  readonly log: Log;
  readonly releases: Release[];
}

export function openLedger(
  settings: LedgerSettings,
  { database, messaging, lanes: outwardLanes, ...parts }: LedgerParts,
  { metrics, log, releases }: Base,
): Notifications {
  const now = (): number => messaging.now();
  const sql = database.background;
  const lanes = new LedgerLanes({ sql, now, metrics, log });
  const notifications = new Notifications({
    ...settings,
    ...parts,
    sql,
    writes: database.sql,
    reads: database.reads,
    lanes: new ChannelLanes(lanes, outwardLanes),
    outwardLanes,
    now,
    reading: (user, read) => messaging.reading(user, read),
    metrics,
    log,
  });
  lanes.work(notifications.handlers);
  notifications.start();
  releases.push(async () => {
    await notifications.stop();
    await lanes.stop();
  });
  return notifications;
}
