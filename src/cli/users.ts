/** `parley users forget`: deletes the data of a user. For operators, beside running servers. */
import type { Config } from '../config/config.ts';
import { forgetUser } from '../retention/forget-user.ts';
import { forgetPresence } from '../presence/forget.ts';
import { userId } from '../protocol/model.ts';
import { whenApplied } from '../storage/confirmations.ts';
import { StartupError } from '../startup-error.ts';
import { openRedis } from '../storage/redis.ts';
import { createLog } from '../telemetry/log.ts';
import { parseArguments } from './arguments.ts';
import { withDatabase, type CommandContext } from './context.ts';

export const usersHelp = `  users forget U               delete the name, memberships, sessions and messages of a user
        [--keep-messages]      keep the messages, under a pseudonym`;

/** @throws {StartupError} */
export async function usersCommand(args: string[], context: CommandContext): Promise<void> {
  const [action, ...rest] = args;
  if (action !== 'forget') throw new StartupError('The command users needs forget.\nSee parley --help.');
  const { values, positionals } = parseArguments(rest, { 'keep-messages': { type: 'boolean' } });
  const [given, ...more] = positionals;
  const user = userId.safeParse(given);
  if (!user.success || more.length > 0) {
    throw new StartupError(
      `The command users forget needs one user: ${user.error?.issues[0]?.message ?? 'there are more'}.`,
    );
  }
  const keepMessages = values['keep-messages'] === true;
  const done = await withDatabase(context, (sql) =>
    forgetUser(sql, user.data, { keepMessages, applied: whenApplied(sql) }),
  );
  context.print(
    `${done.known ? 'Forgot' : 'There was no'} user ${user.data}: ${done.rooms} rooms left, ${done.messages} messages ` +
      `${keepMessages ? 'kept' : 'deleted; their numbers stay'} under ${done.pseudonym}, ${done.reactions} reactions removed.`,
  );
  await forgetInRedis(context.config, user.data);
}

/** Presence keeps the time at which a user was last online for 30 days. */
async function forgetInRedis({ redisUrl: url, redisPrefix: prefix }: Config, user: string): Promise<void> {
  if (url === undefined) return;
  const again = `Redis may still hold the time at which ${user} was last online; run users forget again.`;
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
