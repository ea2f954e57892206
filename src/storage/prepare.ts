import { StartupError } from '../startup-error.ts';
import { NotReady, type Health } from '../telemetry/health.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { ServerClock } from './clock.ts';
import { DatabaseWatch } from './database-watch.ts';
import type { Database } from './database.ts';
import { hazards } from './durability.ts';
import { migrate, migrationsPending, readSchema } from './migrate.ts';
import type { Release } from './open.ts';

export interface PrepareParts {
  readonly clock: ServerClock;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly health: Health;
}

/** Migrates the schema, and from then on watches the database. @throws {StartupError} */
export async function prepareDatabase(database: Database, parts: PrepareParts, releases: Release[]): Promise<void> {
  const { sql, kind } = database;
  const { clock, metrics, log, health } = parts;
  await database.explaining(() => database.migrating(migrate));
  const commits = database.settings === undefined ? undefined : database.settings.synchronous_commit;
  if (commits === 'off') log.warn(`Postgres: ${hazards.synchronous_commit}; the sessions of Parley turn it on.`);
  const watch = new DatabaseWatch({ sql, clock, metrics, log, kind });
  releases.push(() => watch.stop());
  await watch.poll().catch(() => {}); // a database that became unavailable is a state, which the watch has logged
  health.add({ name: 'database', run: () => watch.poll() });
  const files = readSchema();
  health.add({
    name: 'migrations',
    run: async () => {
      const pending = await migrationsPending(sql, files).catch((error: unknown) => {
        throw error instanceof StartupError ? new NotReady(error.message, { cause: error }) : error;
      });
      if (pending.length > 0) throw new NotReady(`pending: ${pending.join(', ')}`);
    },
  });
}
