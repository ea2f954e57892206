/** A process that sends deliveries, for tests that kill it. Arguments: the settings as JSON. */
import { openServer } from '../../../src/storage/database.ts';
import { openRedis } from '../../../src/storage/redis.ts';
import { openLanes } from '../../../src/notifications/lanes/open.ts';
import { Outgoing } from '../../../src/notifications/outgoing.ts';
import { openWebhooks, type WebhooksOptions } from '../../../src/notifications/webhooks/open.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';

export interface WorkerSettings {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly prefix: string;
  readonly allowedNetworks: readonly string[];
  readonly webhooks: WebhooksOptions['settings'];
}

const { databaseUrl, redisUrl, prefix, allowedNetworks, webhooks } = JSON.parse(
  process.argv[2] ?? '',
) as WorkerSettings;
const log = createLog({ level: 'warn', pretty: false, node: 'worker' });
const metrics = new Metrics();
const database = await openServer({ url: databaseUrl, poolSize: 4 });
const redis = await openRedis({ url: redisUrl, prefix, log, refused: () => {} });
const lanes = await openLanes(
  { prefix, slots: { critical: 16, high: 8, normal: 4, low: 2, batch: 1 }, allowEviction: false },
  { redis, database, metrics: metrics.lanes, log, times: { claimMs: 2000, stalledEveryMs: 500 } },
);
const { timeoutMs } = webhooks;
const outgoing = new Outgoing({ allowedNetworks, timeoutMs, maxAnswerBytes: 64 * 1024 });
const parts = {
  settings: webhooks,
  database,
  lanes,
  outgoing,
  version: 'test',
  metrics,
  log,
  times: { everyMs: 500, lostAfterMs: 1000 },
};
const { handlers, upkeep } = openWebhooks(parts);
lanes.work(handlers);
upkeep.start();
process.once('SIGTERM', () => {
  void (async () => {
    await upkeep.stop();
    await lanes.stop();
    await redis.close();
    await database.close();
  })();
});
console.log('ready');
