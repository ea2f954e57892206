/** The first parts of every process, with or without connections: telemetry, and the database. */
import type { LogSlice, StorageSlice } from './config/slices.ts';
import { ServerClock } from './storage/clock.ts';
import { openStorage, type Release } from './storage/open.ts';
import { prepareDatabase } from './storage/prepare.ts';
import { Health } from './telemetry/health.ts';
import { createLog, type Log } from './telemetry/log.ts';
import { Metrics } from './telemetry/metrics.ts';
import { newId } from './transport/engineio/handshake.ts';

/** The parts that every other part gets. */
export interface Base {
  readonly node: string;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly health: Health;
  readonly releases: Release[];
}

export function openTelemetry(settings: LogSlice, name: string | undefined, releases: Release[]): Base {
  const node = name ?? newId().slice(0, 8);
  const log = createLog({ ...settings, node });
  return { node, log, metrics: new Metrics(), health: new Health(log), releases };
}

/** Opens the database, migrates its schema, and watches it. */
export async function openDatabase(settings: StorageSlice, onFatal: (error: Error) => void, base: Base) {
  const { log, metrics, health, releases } = base;
  const clock = new ServerClock(log);
  const storage = await openStorage(settings, { log, metrics, onFatal }, releases);
  await prepareDatabase(storage.database, { clock, metrics, log, health }, releases);
  return { ...storage, clock };
}
