/** Starts a process with the role `worker` alone: no public port and no connections of clients. */
import { openAdmin } from './api/open.ts';
import { openDatabase, openTelemetry } from './base.ts';
import { requireKeys, type Config } from './config/config.ts';
import { listenSlice, logSlice, notificationSlice, redisSlice, storageSlice } from './config/slices.ts';
import { ClientAddress } from './http/client-address.ts';
import { claimPort } from './http/port.ts';
import { openNotifications } from './notifications/open.ts';
import { RedisActivity } from './presence/redis-activity.ts';
import { StartupError } from './startup-error.ts';
import { openCluster } from './storage/open-redis.ts';
import type { Release } from './storage/open.ts';
import type { Log } from './telemetry/log.ts';
import { version } from './version.ts';

export interface WorkerProcess {
  /** The address of health and metrics. Undefined: PARLEY_ADMIN_PORT is not set. */
  readonly adminUrl: string | undefined;
  readonly log: Log;
  /** Finishes running jobs within a limit, then closes everything. */
  stop(): Promise<void>;
}

/** @throws {StartupError} */
export async function startWorkerProcess(config: Config, onFatal: (error: Error) => void): Promise<WorkerProcess> {
  requireKeys(config);
  if (config.redisUrl === undefined) throw needsRedis();
  const releases: Release[] = [];
  const stop = async (): Promise<void> => {
    for (const release of releases.splice(0).toReversed()) await release();
  };
  try {
    return { ...(await start(config, onFatal, releases)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function needsRedis(): StartupError {
  return new StartupError(
    'A process with the role worker alone needs DATABASE_URL and REDIS_URL; without Redis one process has all roles.',
  );
}

async function start(
  config: Config,
  onFatal: (error: Error) => void,
  releases: Release[],
): Promise<Omit<WorkerProcess, 'stop'>> {
  const { admin, trustedProxies } = listenSlice(config);
  if (admin !== undefined) await claimPort(admin.host, admin.port);
  const base = openTelemetry(logSlice(config, process.stdout.isTTY), config.nodeName, releases);
  const storage = await openDatabase(storageSlice(config), onFatal, base);
  const settings = redisSlice(config);
  const redis = await openCluster(settings, base, releases);
  if (redis === undefined) throw needsRedis();
  const activity = new RedisActivity({ redis, prefix: settings.prefix });
  releases.push(() => activity.close());
  await openNotifications(
    { ...notificationSlice(config), works: true },
    { redis, ...storage, activity, version },
    base,
  );
  const { metrics, health, log } = base;
  releases.push(() => health.stop());
  if (admin === undefined) return { adminUrl: undefined, log };
  const parts = {
    ...base,
    version,
    clientAddress: new ClientAddress(trustedProxies),
    metricsText: () => metrics.text(),
  };
  return { adminUrl: await openAdmin(admin, parts, true, releases), log };
}
