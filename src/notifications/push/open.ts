/** Pushes of a node, made of their parts. */
import type { Activity } from '../../presence/activity.ts';
import type { Database } from '../../storage/database.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { JobHandler, Lanes } from '../lanes/lanes.ts';
import type { Outgoing } from '../outgoing.ts';
import { pushJobKind } from '../waiting-jobs.ts';
import { CleanUp } from './clean-up.ts';
import { clearHandler, clearJobKind } from './clear.ts';
import { PushHandler, type PushSettings } from './push-handler.ts';
import type { VapidKeys } from './vapid.ts';
import { WebPush } from './web-push.ts';

export interface PushOptions {
  readonly settings: PushSettings & {
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
  ...parts
}: PushOptions): Readonly<Record<string, JobHandler>> {
  const { vapid, subject } = settings;
  const transports = vapid === undefined ? {} : { web: new WebPush({ keys: vapid, subject, outgoing }) };
  const sql = database.background;
  const handler = new PushHandler({ ...parts, settings, sql, transports, cleanUp: new CleanUp() });
  return { [pushJobKind]: handler.handle, [clearJobKind]: clearHandler({ sql, transports }) };
}
