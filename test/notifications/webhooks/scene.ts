/** Webhooks on a database, without a server: the jobs that the lanes would get are in a list. */
import { afterAll, beforeAll } from 'vitest';
import type postgres from 'postgres';
import { noteEvents, type RoomEvent } from '../../../src/notifications/webhooks/note-events.ts';
import { DeliveryHandler } from '../../../src/notifications/webhooks/delivery-handler.ts';
import { StoredWebhooks } from '../../../src/notifications/webhooks/stored-webhooks.ts';
import { WebhookUpkeep } from '../../../src/notifications/webhooks/upkeep.ts';
import type { JobResult, LaneJob } from '../../../src/notifications/lanes/lanes.ts';
import { Outgoing } from '../../../src/notifications/outgoing.ts';
import { webhookCreateInput, type WebhookWithSecret } from '../../../src/protocol/webhooks.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { silentLog } from '../../support/messaging.ts';
import { parseMetrics, type MetricValues } from '../../support/metrics.ts';
import { receiverHost } from './receiver.ts';

export interface SceneSettings {
  readonly allowedNetworks?: readonly string[];
  readonly retryMs?: readonly number[];
  readonly failingMs?: number;
  readonly timeoutMs?: number;
  readonly maxWebhooks?: number;
  readonly maxWaiting?: number;
  readonly keptMs?: number;
  readonly lostAfterMs?: number;
}

export interface Scene {
  readonly webhooks: StoredWebhooks;
  readonly upkeep: WebhookUpkeep;
  /** Jobs that were added beside those of `note`. */
  readonly added: LaneJob[];
  create(input: object): Promise<WebhookWithSecret>;
  /** Notes events in a transaction. */
  note(...events: readonly RoomEvent[]): Promise<readonly LaneJob[]>;
  run(job: LaneJob | undefined, signal?: AbortSignal): Promise<JobResult>;
  metrics(): Promise<MetricValues>;
}

export function useDatabase(): () => postgres.Sql {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase({ poolSize: 10 });
  });
  afterAll(() => database.drop());
  return () => database.sql;
}

export const minutes = [5000, 30_000, 120_000];

export function setScene(sql: postgres.Sql, more: SceneSettings = {}): Scene {
  const metrics = new Metrics();
  const { allowedNetworks = [receiverHost], timeoutMs = 10_000, lostAfterMs = 15_000 } = more;
  const settings = {
    retryMs: minutes,
    failingMs: 259_200_000,
    timeoutMs,
    maxWebhooks: 50,
    overlapMs: 86_400_000,
    maxWaiting: 100_000,
    keptMs: 259_200_000,
    ...more,
  };
  const added: LaneJob[] = [];
  const outgoing = new Outgoing({ allowedNetworks, timeoutMs, maxAnswerBytes: 64 * 1024 });
  const addJobs = (jobs: readonly LaneJob[]): Promise<void> => Promise.resolve(void added.push(...jobs));
  const common = { sql, settings, outgoing, addJobs, metrics, log: silentLog };
  const handler = new DeliveryHandler({ ...common, userAgent: 'Parley/test' });
  const webhooks = new StoredWebhooks(common);
  return {
    webhooks,
    upkeep: new WebhookUpkeep({ ...common, lostAfterMs }),
    added,
    create: (input) => webhooks.create(webhookCreateInput.parse(input)),
    note: (...events) => sql.begin((tx) => noteEvents(tx, events)),
    run(job, signal = new AbortController().signal) {
      if (job === undefined) throw new Error('the test needs a job');
      return handler.handle(job, signal);
    },
    metrics: async () => parseMetrics(await metrics.text()),
  };
}

let revs = 0;

export function created(room: string, text: string): RoomEvent {
  const json = JSON.stringify({ room, body: { text } });
  return { room, roomKind: 'group', rev: ++revs, kind: 'message.created', json, at: 1_700_000_000_000 };
}
