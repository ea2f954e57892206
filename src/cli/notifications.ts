/** `parley notifications`: why a user was notified of a message, or was not. For operators, beside running servers. */
import { explain, type Explanation } from '../notifications/explain.ts';
import { ParleyError } from '../protocol/errors.ts';
import { roomId, seq, userId } from '../protocol/model.ts';
import { StartupError } from '../startup-error.ts';
import { parseOptions } from './arguments.ts';
import { withDatabase, type CommandContext } from './context.ts';

export const notificationsHelp = `  notifications explain        print why a user was notified of a message, or was not:
        --user U --room R --seq N`;

/** @throws {StartupError} */
export async function notificationsCommand(args: string[], context: CommandContext): Promise<void> {
  const [action, ...rest] = args;
  if (action !== 'explain') throw new StartupError('The command notifications needs explain.\nSee parley --help.');
  const options = { user: { type: 'string' }, room: { type: 'string' }, seq: { type: 'string' } } as const;
  const given = parseOptions(rest, options);
  const user = userId.safeParse(given.user);
  const room = roomId.safeParse(given.room);
  const number = seq.safeParse(Number(given.seq));
  if (!user.success || !room.success || !number.success) {
    throw new StartupError('The command notifications explain needs --user U, --room R and --seq N, with valid ids.');
  }
  const question = { user: user.data, room: room.data, seq: number.data };
  await withDatabase(context, async (sql) => {
    try {
      for (const line of await explain(sql, question, Date.now())) context.print(explanationLine(line));
    } catch (error) {
      if (error instanceof ParleyError) throw new StartupError(error.message);
      throw error;
    }
  });
}

export function explanationLine(line: Explanation): string {
  const { channel, device, state, reason, stored, kind, lane, due, created, updated, error } = line;
  const parts = [device === null ? channel : `${channel} ${device}`, reason === null ? state : `${state} (${reason})`];
  if (!stored) return [...parts, 'not stored'].join('  ');
  if (due !== null) parts.push(`due ${at(due)}`);
  if (error !== null) parts.push(error);
  return [...parts, `${kind ?? '-'} ${lane ?? '-'}`, `stored ${at(created)}`, `changed ${at(updated)}`].join('  ');
}

function at(instant: number | null): string {
  return instant === null ? '-' : new Date(instant).toISOString();
}
