/** The surroundings of a command in its own process: opens the database and Redis for the time of the command. */
import { once } from 'node:events';
import type { Config } from '../config/config.ts';
import { inspectNodes } from '../presence/inspection.ts';
import { RedisNodes } from '../presence/redis-nodes.ts';
import { openDataFolder } from '../storage/data-folder.ts';
import { openEmbedded, openServer } from '../storage/database.ts';
import { openRedis } from '../storage/redis.ts';
import { StartupError } from '../startup-error.ts';
import { createLog } from '../telemetry/log.ts';
import { printable } from '../telemetry/printable.ts';
import type { CommandContext, CommandDatabase, LiveNodes, Terminal } from './context.ts';

const statementTimeoutMs = 600_000;

/** @param input undefined: the standard input. */
export function ownTerminal(input: AsyncIterable<string | Uint8Array> = process.stdin): Terminal {
  let gone: Error | undefined;
  const watch = (): void => {
    if (process.stdout.listenerCount('error') > 0) return;
    process.stdout.on('error', (error: Error) => {
      gone = error;
      process.stdout.emit('drain');
    });
  };
  return {
    input,
    // every printed text may hold text of users
    print: (line) => console.log(printable(line)),
    note: (line) => console.error(printable(line)),
    async write(text) {
      watch();
      if (text !== '' && !process.stdout.write(text)) await once(process.stdout, 'drain');
      if (gone !== undefined) throw new StartupError(`The output was closed: ${gone.message}`);
    },
  };
}

export function ownContext(config: Config, terminal: Terminal): CommandContext {
  return { ...terminal, config, openDatabase: () => openDatabase(config), openNodes: () => openNodes(config) };
}

function onFatal(error: Error): never {
  throw error;
}

/** @throws {StartupError} also if another process has the data folder. */
async function openDatabase(config: Config): Promise<CommandDatabase> {
  if (config.databaseUrl !== undefined) return openServer({ url: config.databaseUrl, poolSize: 2, statementTimeoutMs });
  const folder = await openDataFolder(config.dataDir);
  try {
    const database = await openEmbedded({ dataDir: folder.path, onFatal });
    const close = async (): Promise<void> => {
      try {
        await database.close();
      } finally {
        await folder.release();
      }
    };
    return { ...database, close };
  } catch (error) {
    await folder.release();
    throw error;
  }
}

async function openNodes({ redisUrl: url, redisPrefix: prefix }: Config): Promise<LiveNodes | undefined> {
  if (url === undefined) return undefined;
  const log = createLog({ level: 'silent', pretty: false, node: 'cli' });
  const redis = await openRedis({ url, prefix, log });
  const sessions = new RedisNodes({ redis, prefix, log });
  return {
    up: redis.up,
    sessions,
    inspect: (question, only) => inspectNodes({ redis, prefix }, question, only),
    async close() {
      await sessions.close();
      await redis.close();
    },
  };
}
