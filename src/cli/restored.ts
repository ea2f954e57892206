/** `parley restored`: begins a new epoch. For operators, after a restore of the database. */
import type { Config } from '../config/config.ts';
import { readInstallation, renewEpoch } from '../storage/installation.ts';
import { StartupError } from '../startup-error.ts';
import { withDatabase } from './with-database.ts';

export const restoredHelp = `  restored                     begin a new epoch after a restore: clients load their rooms again`;

/** @throws {StartupError} */
export async function restoredCommand(config: Config, print: (line: string) => void): Promise<void> {
  await withDatabase(config, async (sql) => {
    const before = await readInstallation(sql);
    if (!before.complete) {
      throw new StartupError(
        'The database lacks primary keys: the restore is unfinished or failed. Finish the restore first.',
      );
    }
    const renewed = await renewEpoch(sql, before.epoch);
    const { epoch } = await readInstallation(sql);
    print(
      renewed
        ? `Began epoch ${epoch}, in place of ${before.epoch}. Running nodes detect the new epoch within seconds; clients load their rooms again.`
        : `A node began epoch ${epoch} just now, in place of ${before.epoch}. No step is left.`,
    );
  });
}
