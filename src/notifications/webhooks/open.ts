/** Webhooks of a node, made of their parts. */
import type { Database } from '../../storage/database.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { JobHandler, Lanes } from '../lanes/lanes.ts';
import type { Outgoing } from '../outgoing.ts';
import { DeliveryHandler, type DeliverySettings } from './delivery-handler.ts';
import { webhookJobKind } from './delivery-job.ts';
import { StoredWebhooks, type WebhookSettings } from './stored-webhooks.ts';
import { WebhookUpkeep, type UpkeepSettings, type UpkeepTimes } from './upkeep.ts';

export interface WebhooksOptions {
  readonly settings: WebhookSettings & DeliverySettings & UpkeepSettings;
  readonly database: Pick<Database, 'sql' | 'background'>;
  readonly lanes: Pick<Lanes, 'add'>;
  readonly outgoing: Outgoing;
  readonly version: string;
  readonly times?: UpkeepTimes;
  readonly metrics: Metrics;
  readonly log: Log;
}

export interface OpenWebhooks {
  readonly webhooks: StoredWebhooks;
  /** The handlers for the lanes. */
  readonly handlers: Readonly<Record<string, JobHandler>>;
  readonly upkeep: WebhookUpkeep;
}

export function openWebhooks(options: WebhooksOptions): OpenWebhooks {
  const { settings, database, lanes, outgoing, version, metrics, log } = options;
  const common = { settings, outgoing, addJobs: lanes.add.bind(lanes), metrics, log };
  const { handle } = new DeliveryHandler({ ...common, sql: database.background, userAgent: `Parley/${version}` });
  return {
    webhooks: new StoredWebhooks({ ...common, sql: database.sql }),
    handlers: { [webhookJobKind]: handle },
    upkeep: new WebhookUpkeep({ ...common, ...options.times, sql: database.background }),
  };
}
