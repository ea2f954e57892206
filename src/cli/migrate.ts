/** `parley migrate`: brings the database to this version. */
import { migrate } from '../storage/migrate.ts';
import { parseOptions } from './arguments.ts';
import type { CommandContext } from './context.ts';

export const migrateHelp = `  migrate                      bring the database to this version, then end`;

/** @throws {StartupError} */
export async function migrateCommand(args: string[], context: CommandContext): Promise<void> {
  parseOptions(args, {});
  const database = await context.openDatabase();
  try {
    const applied = await database.explaining(() => database.migrating(migrate));
    if (context.config.redisUrl === undefined) {
      const { migrateQueues } = await import('../notifications/lanes/queue-schema.ts');
      if (await database.explaining(() => database.migrating(migrateQueues))) applied.push('the queues');
    }
    context.print(applied.length === 0 ? 'The database is up to date.' : `Applied: ${applied.join(', ')}`);
  } finally {
    await database.close();
  }
}
