/** `parley sessions`: lists and revokes the sessions of a user. For operators, beside running servers. */
import { Revocations } from '../sessions/revocations.ts';
import type { Session } from '../protocol/model.ts';
import { userId } from '../protocol/model.ts';
import { StartupError } from '../startup-error.ts';
import { whenApplied } from '../storage/confirmations.ts';
import { printableValue } from '../telemetry/printable.ts';
import { parseOptions } from './arguments.ts';
import { noNodes, withDatabase, withNodes, type CommandContext } from './context.ts';

export const sessionsHelp = `  sessions list --user U       print the user's live connections on all nodes
  sessions revoke --user U     revoke tokens and close their connections:
        --session S | --all    the token of one session, or every token of the user`;

/** @throws {StartupError} */
export async function sessionsCommand(args: string[], context: CommandContext): Promise<void> {
  const [action, ...rest] = args;
  if (action === 'list') {
    const { user } = parseOptions(rest, { user: { type: 'string' } });
    return list(requireUser(user), context);
  }
  if (action === 'revoke') {
    const { user, session, all } = parseOptions(rest, {
      user: { type: 'string' },
      session: { type: 'string' },
      all: { type: 'boolean' },
    });
    if ((session === undefined) === (all !== true)) {
      throw new StartupError('The command sessions revoke needs either --session S or --all.');
    }
    return revoke(requireUser(user), session, context);
  }
  throw new StartupError('The command sessions needs list or revoke.\nSee parley --help.');
}

function requireUser(given: unknown): string {
  const user = userId.safeParse(given);
  if (user.success) return user.data;
  throw new StartupError(
    `The command sessions needs --user U: ${user.error.issues[0]?.message ?? 'expected a user id'}.`,
  );
}

async function list(user: string, context: CommandContext): Promise<void> {
  await withNodes(context, async (nodes) => {
    if (nodes === undefined) throw new StartupError(`The command sessions list queries live nodes, and ${noNodes}`);
    if (!nodes.up) throw new StartupError('Redis does not answer (REDIS_URL).');
    const { sessions, complete, silent } = await nodes.sessions.sessionsOf(user);
    for (const session of sessions) context.print(sessionLine(session));
    if (sessions.length === 0) context.print(`User ${user} has no live sessions.`);
    if (silent.length > 0) context.print(`No answer from: ${silent.join(', ')}`);
    else if (!complete) context.print('The list is not complete: there are more sessions.');
  });
}

/** Node names and devices come from other nodes over Redis, where other programs may write too. */
export function sessionLine({ session, since, node, address, device, agent }: Session): string {
  const values = [session, new Date(since).toISOString(), node, address, device ?? '-', agent ?? '-'];
  return values.map(printableValue).join('  ');
}

/** Revocations work without live nodes too. */
async function revoke(user: string, session: string | undefined, context: CommandContext): Promise<void> {
  await withDatabase(context, (sql) =>
    withNodes(context, async (nodes) => {
      const revocations = new Revocations(sql, whenApplied(sql));
      if (nodes !== undefined) revocations.onStored(() => nodes.sessions.revocationsChanged());
      if (session === undefined) {
        await revocations.revokeAll(user, 'operator');
        context.print(`Revoked all tokens of ${user}.`);
      } else if (await revocations.revokeSession(user, session, 'operator')) {
        context.print(`Revoked session ${session} of ${user}.`);
      } else {
        throw new StartupError(`User ${user} has no live session ${session}.`);
      }
    }),
  );
}
