/** `parley restored`: begins a new epoch. For operators, after a restore of the database. */
import { readInstallation, renewEpoch } from '../storage/installation.ts';
import { StartupError } from '../startup-error.ts';
import { parseOptions } from './arguments.ts';
import { withDatabase, type CommandContext } from './context.ts';

export const restoredHelp = `  restored                     begin a new epoch after a restore: clients load their rooms again`;

/** @throws {StartupError} */
export async function restoredCommand(args: string[], context: CommandContext): Promise<void> {
  parseOptions(args, {});
  await withDatabase(context, async (sql) => {
    const before = await readInstallation(sql);
    if (!before.complete) {
      throw new StartupError(
        'The database lacks primary keys: the restore is unfinished or failed. Finish the restore first.',
      );
    }
    const renewed = await renewEpoch(sql, before.epoch);
    const { epoch } = await readInstallation(sql);
    context.print(
      renewed
        ? `Began epoch ${epoch}, in place of ${before.epoch}. Running nodes detect the new epoch within seconds; clients load their rooms again.`
        : `A node began epoch ${epoch} just now, in place of ${before.epoch}. No step is left.`,
    );
  });
}
