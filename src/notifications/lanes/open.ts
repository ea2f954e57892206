import type { RedisLink } from '../../storage/redis.ts';
import type { LaneMetrics } from '../../telemetry/lane-metrics.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Database } from '../../storage/database.ts';
import type { LaneBackend } from './backend.ts';
import { requireNoEviction } from './eviction.ts';
import type { Lanes } from './lanes.ts';
import type { ByLane } from './slots.ts';
import { workerTimes, type WorkerTimes } from './worker-times.ts';

export interface LaneSettings {
  /** Prefix of the keys of Redis. */
  readonly prefix: string;
  readonly slots: ByLane<number>;
  /** Whether a Redis that may evict jobs is accepted. */
  readonly allowEviction: boolean;
}

export interface LaneParts {
  /** Undefined: the queues are in the database. */
  readonly redis: RedisLink | undefined;
  /** Needed without Redis. */
  readonly database: Database | undefined;
  readonly metrics: LaneMetrics;
  readonly log: Log;
  readonly times?: Partial<WorkerTimes>;
}

/**
 * BullMQ is loaded here, so that commands of the command line do not load it.
 * @throws {StartupError} where Redis may evict jobs, or the tables of the queues cannot be made.
 */
export async function openLanes(settings: LaneSettings, parts: LaneParts): Promise<Lanes> {
  const { redis, database, metrics, log, times } = parts;
  const backend = await (redis === undefined
    ? openPostgresBackend(database, log)
    : openRedisBackend(settings, redis, log));
  const { BullLanes } = await import('./bull-lanes.ts');
  return new BullLanes({ backend, slots: settings.slots, times: { ...workerTimes, ...times }, metrics, log });
}

async function openRedisBackend(
  { prefix, allowEviction }: LaneSettings,
  redis: RedisLink,
  log: Log,
): Promise<LaneBackend> {
  requireNoEviction(redis.evictionPolicy, allowEviction);
  const { RedisBackend } = await import('./redis-backend.ts');
  return RedisBackend.open({ redis, prefix, log });
}

async function openPostgresBackend(database: Database | undefined, log: Log): Promise<LaneBackend> {
  if (database === undefined) throw new Error('The lanes need Redis or a database');
  const { PostgresBackend } = await import('./postgres-backend.ts');
  return PostgresBackend.open(database, log);
}
