/** `parley users forget`: deletes what is known of a user. For operators, beside running servers. */
import { parseArgs } from 'node:util';
import type { Config } from '../config/config.ts';
import { forgetUser } from '../retention/forget-user.ts';
import { forgetPresence } from '../presence/forget.ts';
import { userId } from '../protocol/model.ts';
import { whenApplied } from '../storage/confirmations.ts';
import { StartupError } from '../startup-error.ts';
import { openRedis } from '../storage/redis.ts';
import { createLog } from '../telemetry/log.ts';
import { withDatabase } from './with-database.ts';

export const usersHelp = `  users forget U               delete what is known of a user: name, memberships, sessions, messages
        [--keep-messages]      leave the messages, under a pseudonym`;

/** @throws {StartupError} */
export async function usersCommand(
  args: string[],
  configure: () => Config,
  print: (line: string) => void,
): Promise<void> {
  const [action, ...rest] = args;
  if (action !== 'forget') throw new StartupError('users needs forget.\nSee parley --help.');
  const { values, positionals } = parse(rest);
  const [given, ...more] = positionals;
  const user = userId.safeParse(given);
  if (!user.success || more.length > 0) {
    throw new StartupError(`users forget needs one user: ${user.error?.issues[0]?.message ?? 'there are more'}.`);
  }
  const keepMessages = values['keep-messages'] === true;
  const config = configure();
  const done = await withDatabase(config, (sql) =>
    forgetUser(sql, user.data, { keepMessages, applied: whenApplied(sql) }),
  );
  print(
    `${done.known ? 'Forgot' : 'There was no'} user ${user.data}: ${done.rooms} rooms left, ${done.messages} messages ` +
      `${keepMessages ? 'now' : 'deleted, what is left of them'} from ${done.pseudonym}, ${done.reactions} reactions taken back.`,
  );
  await forgetInRedis(config, user.data);
}

/** Presence keeps for 30 days when a user was last there. */
async function forgetInRedis({ redisUrl: url, redisPrefix: prefix }: Config, user: string): Promise<void> {
  if (url === undefined) return;
  const again = `Redis may still hold when ${user} was last online; run users forget again.`;
  const link = await openRedis({ url, prefix, log: createLog({ level: 'silent', pretty: false, node: 'cli' }) });
  try {
    if (!link.up) throw new StartupError(`Redis does not answer (REDIS_URL). ${again}`);
    if (!(await forgetPresence(link, prefix, user))) {
      throw new StartupError(`A connection of ${user} is still open on a node. ${again}`);
    }
  } finally {
    await link.close();
  }
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, options: { 'keep-messages': { type: 'boolean' } }, allowPositionals: true });
  } catch (error) {
    throw new StartupError(`${(error as Error).message}\nSee parley --help.`);
  }
}
