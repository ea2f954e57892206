/**
 * The surroundings of a command of the command line. A command runs in its own process, or in the process of a running
 * server (beside/server.ts): the command sees no difference.
 */
import type { Config } from '../config/config.ts';
import type { Inspected } from '../presence/inspection.ts';
import type { Nodes } from '../presence/nodes.ts';
import type { InspectQuestion } from '../protocol/inspection.ts';
import type { Database } from '../storage/database.ts';
import { migrationsPending } from '../storage/migrate.ts';
import type { postgres } from '../storage/sql.ts';
import { StartupError } from '../startup-error.ts';

/** The terminal of the command. */
export interface Terminal {
  /** The bytes of the standard input, or of the file that the command names. */
  readonly input: AsyncIterable<string | Uint8Array>;
  /** A line on the standard output. */
  print(line: string): void;
  /** A line on the standard error. */
  note(line: string): void;
  /** Writes text to the standard output. Resolves when more may be written. @throws {StartupError} if the reader is gone */
  write(text: string): Promise<void>;
}

export type CommandDatabase = Pick<Database, 'sql' | 'kind' | 'settings' | 'explaining' | 'migrating' | 'close'>;

/** The running nodes. */
export interface LiveNodes {
  /** Whether the nodes can be reached at the moment. */
  readonly up: boolean;
  readonly sessions: Pick<Nodes, 'sessionsOf' | 'revocationsChanged'>;
  /** Queries all nodes, or the node of that name. */
  inspect(question: InspectQuestion, only?: string): Promise<Inspected>;
  close(): Promise<void>;
}

export interface CommandContext extends Terminal {
  readonly config: Config;
  /** @throws {StartupError} */
  openDatabase(): Promise<CommandDatabase>;
  /** @returns undefined if there is no way to the nodes: without Redis, and without a running server on the data folder */
  openNodes(): Promise<LiveNodes | undefined>;
}

/** Why a command cannot reach a node. */
export const noNodes =
  'no server answers on the data folder (PARLEY_DATA_DIR); nodes that share Redis answer there: set REDIS_URL to the value that the nodes have.';

/** @throws {StartupError} if the database cannot be opened, or is of another version. */
export async function withDatabase<T>(context: CommandContext, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const database = await context.openDatabase();
  try {
    const pending = await database.explaining(() => migrationsPending(database.sql));
    if (pending.length > 0) throw new StartupError('The database is older than this Parley: run parley migrate first.');
    return await database.explaining(() => work(database.sql));
  } finally {
    await database.close();
  }
}

export async function withNodes<T>(
  context: CommandContext,
  work: (nodes: LiveNodes | undefined) => Promise<T>,
): Promise<T> {
  const nodes = await context.openNodes();
  try {
    return await work(nodes);
  } finally {
    await nodes?.close();
  }
}
