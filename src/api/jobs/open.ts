/** Jobs and exports of a node, made of its parts. */
import { tmpdir } from 'node:os';
import type { Messaging } from '../../messaging.ts';
import type { Nodes } from '../../presence/nodes.ts';
import type { ForgetOptions } from '../../retention/forget-user.ts';
import type { Cache } from '../../storage/cache.ts';
import type { Database } from '../../storage/database.ts';
import type { Release } from '../../storage/open.ts';
import type { RedisLink } from '../../storage/redis.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { ApiKeys } from '../keys/api-keys.ts';
import { Exports, type ExportSettings } from '../streams/exports.ts';
import { exportWork } from './export-job.ts';
import { forgetWork } from './forget-job.ts';
import { importWork } from './import-job.ts';
import { Jobs, type JobSettings } from './jobs.ts';
import { purgeWork } from './purge-job.ts';

export interface JobsOptions {
  /** Undefined: this node is alone. */
  readonly redis: RedisLink | undefined;
  /** The prefix of the keys in Redis. */
  readonly prefix: string;
  readonly database: Pick<Database, 'sql' | 'background'>;
  /** The data folder of the embedded database. */
  readonly folder: string | undefined;
  readonly applied: ForgetOptions['applied'];
  readonly presence: { readonly nodes: Pick<Nodes, 'revocationsChanged'> };
  readonly messaging: Pick<Messaging, 'purge'>;
  readonly cache: Pick<Cache, 'invalidate'>;
  readonly keys: Pick<ApiKeys, 'onRevoked'>;
}

export interface OpenJobs {
  readonly jobs: Jobs;
  readonly exports: Exports;
  /** Runs and files end; other nodes go on with the runs. */
  stop(): Promise<void>;
}

export async function openJobs(
  settings: JobSettings & ExportSettings,
  options: JobsOptions,
  {
    node,
    metrics,
    log,
    releases,
  }: { readonly node: string; readonly metrics: Metrics; readonly log: Log; readonly releases: Release[] },
): Promise<OpenJobs> {
  const { database, redis, prefix, folder = tmpdir(), applied, presence, messaging, cache, keys } = options;
  const { background: sql } = database;
  const works = {
    import: importWork(sql, cache),
    export: exportWork({ sql, folder, maxExportBytes: settings.maxExportBytes }),
    'user:delete': forgetWork({
      sql,
      applied,
      nudge: () => presence.nodes.revocationsChanged(),
      cache,
      redis: redis === undefined ? undefined : { link: redis, prefix },
    }),
    'room:purge': purgeWork(sql, messaging),
  };
  const jobs = new Jobs({ sql: database.sql, works, settings, node, metrics, log });
  const exports = new Exports({ sql, folder, settings, keys, metrics, log });
  const stop = async (): Promise<void> => {
    await Promise.all([jobs.stop(), exports.stop()]);
  };
  releases.push(stop);
  await jobs.start(redis === undefined);
  return { jobs, exports, stop };
}
