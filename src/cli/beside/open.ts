/** Opens the socket for the command line in a server without Redis. */
import { existsSync } from 'node:fs';
import type { Config } from '../../config/config.ts';
import type { Nodes } from '../../presence/nodes.ts';
import type { InspectQuestion } from '../../protocol/inspection.ts';
import type { Facts } from '../../presence/inspection.ts';
import type { Database } from '../../storage/database.ts';
import type { Release } from '../../storage/open.ts';
import type { Log } from '../../telemetry/log.ts';
import type { CommandContext, LiveNodes, Terminal } from '../context.ts';
import { commandSocket } from './protocol.ts';
import { CommandServer } from './server.ts';

export interface CommandServerParts {
  readonly config: Config;
  readonly database: Database;
  readonly node: string;
  readonly sessions: Pick<Nodes, 'sessionsOf' | 'revocationsChanged'>;
  readonly inspect: (question: InspectQuestion) => Exclude<Facts, null> | undefined;
  readonly log: Log;
}

/**
 * A node that shares Redis answers there. A node with DATABASE_URL needs no data folder, so it listens only where the
 * folder exists. A server without the socket serves its users all the same.
 */
export async function openCommandServer(parts: CommandServerParts, releases: Release[]): Promise<void> {
  const { config, log } = parts;
  if (config.redisUrl !== undefined || process.platform === 'win32' || !existsSync(config.dataDir)) return;
  const path = commandSocket(config.dataDir, config.databaseUrl);
  try {
    const server = await CommandServer.open({
      path,
      log,
      context: (terminal) => ({ ...terminal, ...surroundings(parts) }),
    });
    releases.push(() => server.close());
  } catch (error) {
    log.warn(
      { err: error },
      'Could not open the socket for the command line. Commands beside this server fail or have no live answers.',
    );
  }
}

const stayOpen = (): Promise<void> => Promise.resolve();

/** The database and the one node of the server, which stay open after a command. */
function surroundings({
  config,
  database,
  node,
  sessions,
  inspect,
}: CommandServerParts): Omit<CommandContext, keyof Terminal> {
  const nodes: LiveNodes = {
    up: true,
    sessions,
    inspect: (question, only) => {
      const answers = only === undefined || only === node ? [{ node, facts: inspect(question) ?? null }] : [];
      return Promise.resolve({ answers, silent: [] });
    },
    close: stayOpen,
  };
  return {
    config,
    openDatabase: () => Promise.resolve({ ...database, close: stayOpen }),
    openNodes: () => Promise.resolve(nodes),
  };
}
