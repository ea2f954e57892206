/**
 * The commands of the command line that work on data or on running nodes. A command is one entry here, and a function that
 * takes its arguments and its surroundings. All else follows: the help, and the way to a running server.
 */
import type { Readable } from 'node:stream';
import { cacheCommand, cacheHelp } from './cache.ts';
import type { CommandContext } from './context.ts';
import { deadLettersCommand, deadLettersHelp } from './dead-letters.ts';
import { doctorCommand, doctorHelp } from './doctor.ts';
import { inspectCommand, inspectHelp } from './inspect.ts';
import { jobsCommand, jobsHelp } from './jobs.ts';
import { keysCommand, keysHelp } from './keys.ts';
import { migrateCommand, migrateHelp } from './migrate.ts';
import { notificationsCommand, notificationsHelp } from './notifications.ts';
import { restoredCommand, restoredHelp } from './restored.ts';
import { sessionsCommand, sessionsHelp } from './sessions.ts';
import { exportCommand, importCommand, importInput, transferHelp } from './transfer.ts';
import { usersCommand, usersHelp } from './users.ts';
import { vapidCommand, vapidHelp } from './vapid.ts';

export interface CliCommand {
  /** Lines of `parley --help`; absent: another entry has them. */
  readonly help?: string;
  /** Resolves to false if the command found a fault: the exit code is 1. @throws {StartupError} */
  readonly run: (args: string[], context: CommandContext) => Promise<unknown>;
  /** The file in place of the standard input. Opened where the operator is, so that its path is one of the operator. */
  readonly input?: (args: string[]) => Promise<Readable | undefined>;
  /** Whether the command reads its input. */
  readonly reads?: boolean;
  /** Queries nodes. Without Redis, the command runs in the process of the server, also with DATABASE_URL. */
  readonly queriesNodes?: boolean;
}

const table = {
  migrate: { help: migrateHelp, run: migrateCommand },
  keys: { help: keysHelp, run: keysCommand },
  jobs: { help: jobsHelp, run: jobsCommand },
  'dead-letters': { help: deadLettersHelp, run: deadLettersCommand },
  notifications: { help: notificationsHelp, run: notificationsCommand },
  sessions: { help: sessionsHelp, run: sessionsCommand, queriesNodes: true },
  inspect: { help: inspectHelp, run: inspectCommand, queriesNodes: true },
  cache: { help: cacheHelp, run: cacheCommand, queriesNodes: true },
  export: { help: transferHelp, run: exportCommand },
  import: { run: importCommand, input: importInput, reads: true },
  vapid: { help: vapidHelp, run: vapidCommand },
  users: { help: usersHelp, run: usersCommand, queriesNodes: true },
  restored: { help: restoredHelp, run: restoredCommand },
  doctor: { help: doctorHelp, run: doctorCommand },
} satisfies Record<string, CliCommand>;

export const cliCommands: ReadonlyMap<string, CliCommand> = new Map<string, CliCommand>(Object.entries(table));
