/** The database of a command that runs beside servers, or, embedded, instead of one. */
import type { postgres } from '../storage/sql.ts';
import type { Config } from '../config/config.ts';
import { openDataFolder } from '../storage/data-folder.ts';
import { openEmbedded, openServer } from '../storage/database.ts';
import { migrationsPending } from '../storage/migrate.ts';
import { StartupError } from '../startup-error.ts';

/** @throws {StartupError} if a server uses the embedded database, or the database is of another version. */
export async function withDatabase<T>(config: Config, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const folder = config.databaseUrl === undefined ? await openDataFolder(config.dataDir) : undefined;
  try {
    const database =
      folder === undefined
        ? await openServer({ url: config.databaseUrl ?? '', poolSize: 2, statementTimeoutMs: 600_000 })
        : await openEmbedded({
            dataDir: folder.path,
            onFatal: (error) => {
              throw error;
            },
          });
    try {
      const pending = await database.explaining(() => migrationsPending(database.sql));
      if (pending.length > 0)
        throw new StartupError('The database is older than this Parley: run parley migrate first.');
      return await database.explaining(() => work(database.sql));
    } finally {
      await database.close();
    }
  } finally {
    await folder?.release();
  }
}
