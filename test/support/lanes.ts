/** Lanes over a store that several processes can open. */
import { openLanes } from '../../src/notifications/lanes/open.ts';
import type { Lanes } from '../../src/notifications/lanes/lanes.ts';
import type { WorkerTimes } from '../../src/notifications/lanes/worker-times.ts';
import { openEmbedded, openServer } from '../../src/storage/database.ts';
import { openRedis } from '../../src/storage/redis.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { silentLog } from './messaging.ts';

export interface LaneStore {
  readonly redisUrl?: string;
  readonly databaseUrl?: string;
  readonly dataDir?: string;
  readonly prefix: string;
}

export interface OpenedLanes {
  readonly lanes: Lanes;
  readonly metrics: Metrics;
  close(): Promise<void>;
}

/** Short, so that a dead worker loses its jobs within seconds. */
const times: Partial<WorkerTimes> = { claimMs: 3000, stalledEveryMs: 500, backoffMs: 100, stopMs: 5000 };
const slots = { critical: 16, high: 8, normal: 4, low: 2, batch: 1 };

export async function openLanesOf(store: LaneStore, own: Partial<WorkerTimes> = {}): Promise<OpenedLanes> {
  const { redisUrl, databaseUrl, dataDir = '', prefix } = store;
  const redis = redisUrl === undefined ? undefined : await openRedis({ url: redisUrl, prefix, log: silentLog });
  const database =
    databaseUrl === undefined
      ? redis === undefined
        ? await openEmbedded({ dataDir, onFatal: () => {} })
        : undefined
      : await openServer({ url: databaseUrl, poolSize: 4 });
  const metrics = new Metrics();
  const lanes = await openLanes(
    { prefix, slots, allowEviction: false },
    { redis, database, metrics: metrics.lanes, log: silentLog, times: { ...times, ...own } },
  );
  return {
    lanes,
    metrics,
    async close() {
      await lanes.stop();
      await database?.close();
      await redis?.close();
    },
  };
}
