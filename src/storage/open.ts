import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { openDataFolder } from './data-folder.ts';
import { openEmbedded, openServer, type Database, type OnUnsafe, type ServerOptions } from './database.ts';
import { holdNodeLock } from './locks.ts';

/** A step of the stop. Steps run in reverse order of the start. */
export type Release = () => Promise<void> | void;

export interface StorageSettings {
  /** The folder of the embedded database. */
  readonly dataDir: string;
  /** Undefined: the database is embedded. */
  readonly server: Pick<ServerOptions, 'url' | 'poolSize' | 'reads' | 'backgroundPoolSize'> | undefined;
  /** Whether other nodes may have the same database. */
  readonly shared: boolean;
}

export interface StorageParts {
  readonly metrics: Metrics;
  readonly log: Log;
  /** The database or the lock of this node is lost for the life of the process. */
  readonly onFatal: (error: Error) => void;
}

export interface OpenStorage {
  readonly database: Database;
  /** The data folder of the embedded database. */
  readonly folder: string | undefined;
  /** Gives the database up to the process that starts next. */
  readonly handOver: () => Promise<void>;
}

/** Opens the embedded database or the pools of a server, and holds the lock of this node. @throws {StartupError} */
export async function openStorage(
  { dataDir, server, shared }: StorageSettings,
  { metrics, log, onFatal }: StorageParts,
  releases: Release[],
): Promise<OpenStorage> {
  const onUnsafe: OnUnsafe = ({ pid, status }) => {
    metrics.databaseUnsafe.inc();
    log.error(
      { pid, status },
      'Closed a pooled connection to Postgres that was inside a transaction; its next user would have written into it.',
    );
  };
  if (server === undefined) {
    const folder = await openDataFolder(dataDir);
    releases.push(() => folder.release());
    const onMaintenanceError = (error: unknown): void =>
      log.warn({ err: error }, 'Could not maintain the embedded database; it grows until the next attempt succeeds.');
    const database = await openEmbedded({ dataDir: folder.path, onFatal, onMaintenanceError, onUnsafe });
    releases.push(() => database.close());
    return { database, folder: folder.path, handOver: () => Promise.resolve() };
  }
  const database = await openServer({ ...server, isNode: true, onUnsafe });
  releases.push(() => database.close());
  const lock = await database.explaining(() => holdNodeLock({ url: server.url, shared, onLost: onFatal }));
  releases.push(() => lock.release());
  return { database, folder: undefined, handOver: () => lock.release() };
}
