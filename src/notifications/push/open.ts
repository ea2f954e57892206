/** Pushes of a node, made of their parts. */
import type { Activity } from '../../presence/activity.ts';
import type { Database } from '../../storage/database.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { JobHandler, Lanes } from '../lanes/lanes.ts';
import type { Outgoing } from '../outgoing.ts';
import { ChannelHandler, type ChannelSettings } from '../channels/channel-handler.ts';
import { CleanUp } from '../channels/clean-up.ts';
import { clearHandler, clearJobKind } from './clear.ts';
import { PushChannel, type PushParts } from './push-channel.ts';
import type { VapidKeys } from './vapid.ts';
import { WebPush } from './web-push.ts';

export interface PushOptions {
  readonly settings: ChannelSettings &
    Pick<PushParts, 'ttlMs'> & {
      /** Undefined: this server sends no web pushes. */
      readonly vapid: VapidKeys | undefined;
      readonly subject: string;
    };
  readonly database: Pick<Database, 'background'>;
  readonly activity: Pick<Activity, 'of'>;
  readonly lanes: Pick<Lanes, 'add'>;
  readonly outgoing: Pick<Outgoing, 'post'>;
  /** The clock of Postgres. */
  readonly now: () => number;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** @returns the handlers for the lanes */
export function openPush({
  settings,
  database,
  outgoing,
  activity,
  ...parts
}: PushOptions): Readonly<Record<string, JobHandler>> {
  const { vapid, subject, ttlMs } = settings;
  const transports = vapid === undefined ? {} : { web: new WebPush({ keys: vapid, subject, outgoing }) };
  const sql = database.background;
  const { now, metrics, log } = parts;
  const calls = metrics.push;
  const cleanUp = new CleanUp({ sql, calls, log });
  const channel = new PushChannel({ ...parts, ttlMs, sql, transports });
  const handler = new ChannelHandler({
    addJobs: (jobs) => parts.lanes.add(jobs),
    channel,
    settings,
    sql,
    activity,
    cleanUp,
    now,
    metrics,
    calls,
  });
  return { [channel.name]: handler.handle, [clearJobKind]: clearHandler({ sql, transports, cleanUp }) };
}
