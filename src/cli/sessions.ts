/** `parley sessions`: who of a user is connected, and ending it. For operators, beside running servers. */
import { parseArgs } from 'node:util';
import { Revocations } from '../sessions/revocations.ts';
import type { Config } from '../config/config.ts';
import type { Nodes } from '../presence/nodes.ts';
import { RedisNodes } from '../presence/redis-nodes.ts';
import type { Session } from '../protocol/model.ts';
import { userId } from '../protocol/model.ts';
import { StartupError } from '../startup-error.ts';
import { whenApplied } from '../storage/confirmations.ts';
import { openServer } from '../storage/database.ts';
import { openRedis } from '../storage/redis.ts';
import { createLog } from '../telemetry/log.ts';
import { printableValue } from '../telemetry/printable.ts';

export const sessionsHelp = `  sessions list --user U       print the user's live connections on all nodes (needs REDIS_URL)
  sessions revoke --user U     take back the token of a session and close its connections,
        --session S | --all    or every token of the user (needs DATABASE_URL)`;

type Print = (line: string) => void;

/** @throws {StartupError} */
export async function sessionsCommand(args: string[], configure: () => Config, print: Print): Promise<void> {
  const [action, ...rest] = args;
  if (action === 'list') {
    const { user } = options(rest, { user: { type: 'string' } });
    return list(requireUser(user), configure(), print);
  }
  if (action === 'revoke') {
    const { user, session, all } = options(rest, {
      user: { type: 'string' },
      session: { type: 'string' },
      all: { type: 'boolean' },
    });
    if ((session === undefined) === (all !== true)) {
      throw new StartupError('sessions revoke needs either --session S or --all.');
    }
    return revoke(requireUser(user), typeof session === 'string' ? session : undefined, configure(), print);
  }
  throw new StartupError('sessions needs list or revoke.\nSee parley --help.');
}

function options<T extends Record<string, { type: 'string' | 'boolean' }>>(args: string[], known: T) {
  try {
    return parseArgs({ args, options: known, allowPositionals: false }).values;
  } catch (error) {
    throw new StartupError(`${(error as Error).message}\nSee parley --help.`);
  }
}

function requireUser(given: unknown): string {
  const user = userId.safeParse(given);
  if (user.success) return user.data;
  throw new StartupError(`sessions needs --user U: ${user.error.issues[0]?.message ?? 'expected a user id'}.`);
}

async function list(user: string, config: Config, print: Print): Promise<void> {
  if (config.redisUrl === undefined) {
    throw new StartupError('sessions list asks the nodes by way of Redis: set REDIS_URL, as they have it.');
  }
  await withNodes(config, async (nodes, up) => {
    if (nodes === undefined || !up) throw new StartupError('Redis does not answer (REDIS_URL).');
    const { sessions, complete, silent } = await nodes.sessionsOf(user);
    for (const session of sessions) print(sessionLine(session));
    if (sessions.length === 0) print(`${user} has no live sessions.`);
    if (silent.length > 0) print(`No answer from: ${silent.join(', ')}`);
    else if (!complete) print('There are more.');
  });
}

/** Node names and devices come from other nodes by Redis, where others may write too. */
export function sessionLine({ session, since, node, address, device, agent }: Session): string {
  const values = [session, new Date(since).toISOString(), node, address, device ?? '-', agent ?? '-'];
  return values.map(printableValue).join('  ');
}

async function revoke(user: string, session: string | undefined, config: Config, print: Print): Promise<void> {
  if (config.databaseUrl === undefined) {
    throw new StartupError('sessions revoke writes to the database of the nodes: set DATABASE_URL, as they have it.');
  }
  const database = await openServer({ url: config.databaseUrl, poolSize: 2 });
  try {
    await withNodes(config, async (nodes) => {
      const revocations = new Revocations(database.sql, whenApplied(database.sql));
      if (nodes !== undefined) revocations.onStored(() => nodes.revocationsChanged());
      if (session === undefined) {
        await revocations.revokeAll(user, 'operator');
        print(`Revoked all tokens of ${user}.`);
      } else if (await revocations.revokeSession(user, session, 'operator')) {
        print(`Revoked session ${session} of ${user}.`);
      } else {
        throw new StartupError(`${user} has no live session ${session}.`);
      }
    });
  } finally {
    await database.close();
  }
}

/** With the nodes when there is a Redis; they can do without it for revocations. */
async function withNodes(
  config: Config,
  work: (nodes: Nodes | undefined, up: boolean) => Promise<void>,
): Promise<void> {
  if (config.redisUrl === undefined) return work(undefined, false);
  const log = createLog({ level: 'silent', pretty: false, node: 'cli' });
  const redis = await openRedis({ url: config.redisUrl, prefix: config.redisPrefix, log });
  const nodes = new RedisNodes({ redis, prefix: config.redisPrefix, log });
  try {
    await work(nodes, redis.up);
  } finally {
    await nodes.close();
    await redis.close();
  }
}
