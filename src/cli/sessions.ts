/** `parley sessions`: lists and revokes the sessions of a user. For operators, beside running servers. */
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
  sessions revoke --user U     revoke tokens and close their connections (needs DATABASE_URL):
        --session S | --all    the token of one session, or every token of the user`;

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
      throw new StartupError('The command sessions revoke needs either --session S or --all.');
    }
    return revoke(requireUser(user), typeof session === 'string' ? session : undefined, configure(), print);
  }
  throw new StartupError('The command sessions needs list or revoke.\nSee parley --help.');
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
  throw new StartupError(
    `The command sessions needs --user U: ${user.error.issues[0]?.message ?? 'expected a user id'}.`,
  );
}

async function list(user: string, config: Config, print: Print): Promise<void> {
  if (config.redisUrl === undefined) {
    throw new StartupError(
      'The command sessions list queries the nodes over Redis: set REDIS_URL to the value that the nodes have.',
    );
  }
  await withNodes(config, async (nodes, up) => {
    if (nodes === undefined || !up) throw new StartupError('Redis does not answer (REDIS_URL).');
    const { sessions, complete, silent } = await nodes.sessionsOf(user);
    for (const session of sessions) print(sessionLine(session));
    if (sessions.length === 0) print(`User ${user} has no live sessions.`);
    if (silent.length > 0) print(`No answer from: ${silent.join(', ')}`);
    else if (!complete) print('The list is not complete: there are more sessions.');
  });
}

/** Node names and devices come from other nodes over Redis, where other programs may write too. */
export function sessionLine({ session, since, node, address, device, agent }: Session): string {
  const values = [session, new Date(since).toISOString(), node, address, device ?? '-', agent ?? '-'];
  return values.map(printableValue).join('  ');
}

async function revoke(user: string, session: string | undefined, config: Config, print: Print): Promise<void> {
  if (config.databaseUrl === undefined) {
    throw new StartupError(
      'The command sessions revoke writes to the database of the nodes: set DATABASE_URL to the value that the nodes have.',
    );
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
        throw new StartupError(`User ${user} has no live session ${session}.`);
      }
    });
  } finally {
    await database.close();
  }
}

/** Connects to the nodes if there is a Redis. Revocations work without Redis too. */
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
