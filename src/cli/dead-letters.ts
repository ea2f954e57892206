/** `parley dead-letters`: lists, replays and drops dead letters. For operators, beside running servers. */
import { z } from 'zod';
import { pushSlice } from '../config/slices.ts';
import { DeadLetters } from '../notifications/dead-letters/dead-letters.ts';
import { deadLetterChoice, type DeadLetter, type DeadLetterChoice } from '../protocol/dead-letters.ts';
import { ParleyError } from '../protocol/errors.ts';
import { StartupError } from '../startup-error.ts';
import { printableValue } from '../telemetry/printable.ts';
import { parseArguments } from './arguments.ts';
import { withDatabase, type CommandContext } from './context.ts';

export const deadLettersHelp = `  dead-letters list            print notifications and deliveries that ended without an arrival, the newest first
  dead-letters replay [ID…]    send dead letters again; servers take them within 30 s
        [--dry-run]            print the counts, and change nothing
  dead-letters drop [ID…]      end dead letters for good
        [--channel C]          for each of the three: those of push, email or webhook
        [--reason T]           those whose error has this text
        [--room R]             those of a room
        [--since T]            those that are dead since that time, such as 2030-01-31T12:00Z
        [--all]                for replay and drop, without any of the above: every dead letter`;

const listed = 100;
const options = {
  channel: { type: 'string' },
  reason: { type: 'string' },
  room: { type: 'string' },
  since: { type: 'string' },
  all: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
} as const;

/** @throws {StartupError} */
export async function deadLettersCommand(args: string[], context: CommandContext): Promise<void> {
  const [action, ...rest] = args;
  if (action !== 'list' && action !== 'replay' && action !== 'drop')
    throw new StartupError('The command dead-letters needs list, replay or drop.\nSee parley --help.');
  const { values, positionals } = parseArguments(rest, options);
  const choice = choiceOf(values, positionals);
  if (action !== 'list' && values.all !== true && Object.keys(choice).length === 0)
    throw new StartupError(`The command dead-letters ${action} needs ids, a filter, or --all.`);
  await withDatabase(context, async (sql) => {
    const letters = new DeadLetters({
      sql,
      // a command sees no connections; the servers decide again before they send
      activity: { of: () => Promise.resolve(new Map()) },
      addJobs: undefined,
      pushTtlMs: pushSlice(context.config, undefined).ttlMs,
      now: Date.now,
      log: undefined,
    });
    try {
      if (action === 'list') await list(letters, choice, context);
      else if (action === 'replay') await replay(letters, choice, values['dry-run'] === true, context);
      else await drop(letters, choice, context);
    } catch (error) {
      if (error instanceof ParleyError) throw new StartupError(error.message);
      throw error;
    }
  });
}

type GivenFilter = Readonly<Partial<Record<'channel' | 'reason' | 'room' | 'since', string | undefined>>>;

function choiceOf({ channel, reason, room, since }: GivenFilter, ids: readonly string[]): DeadLetterChoice {
  const given = {
    channel,
    reason,
    room,
    since: since === undefined ? undefined : Date.parse(since),
    ids: ids.length > 0 ? ids : undefined,
  };
  const parsed = z
    .object(deadLetterChoice)
    .safeParse(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new StartupError(`${String(issue?.path[0] ?? 'input')}: ${issue?.message ?? 'not valid'}.`);
}

async function list(letters: DeadLetters, choice: DeadLetterChoice, context: CommandContext): Promise<void> {
  const { deadLetters, more } = await letters.list({ ...choice, limit: listed });
  for (const letter of deadLetters) context.print(lineOf(letter));
  if (deadLetters.length === 0) context.print('There are no dead letters.');
  if (more) context.note(`There are more than ${listed} dead letters; a filter shows the others.`);
}

function lineOf({ id, at, channel, target, user, room, seq, kind, error, attempts, replays }: DeadLetter): string {
  const values = [
    id,
    new Date(at).toISOString(),
    channel,
    target,
    user,
    room,
    seq,
    kind,
    `attempts ${attempts}`,
    `replays ${replays}`,
    error,
  ];
  return values.map((value) => printableValue(String(value ?? '-'))).join('  ');
}

async function replay(
  letters: DeadLetters,
  choice: DeadLetterChoice,
  dryRun: boolean,
  context: CommandContext,
): Promise<void> {
  let more = true;
  while (more) {
    const counts = await letters.replay({ ...choice, dryRun }, 'the command line');
    const dropped = Object.entries(counts.dropped).map(([reason, count]) => `dropped (${reason}) ${count}`);
    const parts = [
      `replayed ${counts.replayed}`,
      ...dropped,
      `exhausted ${counts.exhausted}`,
      `disabled ${counts.disabled}`,
    ];
    context.print(parts.join('  '));
    more = counts.more && !dryRun;
  }
}

async function drop(letters: DeadLetters, choice: DeadLetterChoice, context: CommandContext): Promise<void> {
  let more = true;
  while (more) {
    const counts = await letters.drop(choice, 'the command line');
    context.print(`dropped ${counts.dropped}`);
    ({ more } = counts);
  }
}
