/** `parley inspect`: the state of a room or a connection on each node. For operators, beside running servers. */
import type { Facts, Inspected } from '../presence/inspection.ts';
import { inspectQuestion, type InspectQuestion } from '../protocol/inspection.ts';
import { StartupError } from '../startup-error.ts';
import type { postgres } from '../storage/sql.ts';
import { printableValue } from '../telemetry/printable.ts';
import { parseArguments } from './arguments.ts';
import { noNodes, withDatabase, withNodes, type CommandContext } from './context.ts';

export const inspectHelp = `  inspect room ROOM            print the head of a room in Postgres and on each node
  inspect connection ID        print a live connection: its user, node, rooms and unsent bytes
        [--node N]             query one node only`;

type Print = (line: string) => void;

/** @throws {StartupError} */
export async function inspectCommand(args: string[], context: CommandContext): Promise<void> {
  const { values, positionals } = parseArguments(args, { node: { type: 'string' } });
  const [what, id, ...more] = positionals;
  if ((what !== 'room' && what !== 'connection') || id === undefined || more.length > 0) {
    throw new StartupError('The command inspect needs room ROOM or connection ID.\nSee parley --help.');
  }
  const question = inspectQuestion.safeParse({ [what]: id });
  if (!question.success) throw new StartupError(`The command inspect needs a valid id of a ${what}.`);
  const { data } = question;
  await withNodes(context, async (nodes) => {
    if (nodes === undefined && 'connection' in data)
      throw new StartupError(`The command inspect connection queries live nodes, and ${noNodes}`);
    if ('room' in data) await printRoom(context, data.room);
    if (nodes === undefined) return context.print(`No live answers: ${noNodes}`);
    if (!nodes.up) throw new StartupError('Redis does not answer (REDIS_URL).');
    printAnswers(await nodes.inspect(data, values.node), data, values.node, (line) => context.print(line));
  });
}

async function printRoom(context: CommandContext, room: string): Promise<void> {
  const stored = await withDatabase(context, (sql) => readRoom(sql, room));
  if (stored === undefined) throw new StartupError(`The database has no room ${room}.`);
  const { kind, seq, rev, first, members } = stored;
  context.print(`Postgres  ${kind}  rev ${rev}  seq ${seq}  first seq ${first}  members ${members}`);
}

interface Stored {
  readonly kind: string;
  readonly seq: number;
  readonly rev: number;
  readonly first: number;
  readonly members: number;
}

async function readRoom(sql: postgres.Sql, room: string): Promise<Stored | undefined> {
  const [row] = await sql<Stored[]>`
    select kind, last_seq as seq, last_rev as rev, first_seq as first, member_count as members from rooms where id = ${room}`;
  return row;
}

function printAnswers(
  { answers, silent }: Inspected,
  question: InspectQuestion,
  only: string | undefined,
  print: Print,
): void {
  const having = answers.filter(({ facts }) => facts !== null);
  for (const { node, facts } of 'room' in question ? answers : having)
    print(`${printableValue(node)}  ${lineOf(facts)}`);
  if (having.length === 0 && 'connection' in question) print(`No node has the connection ${question.connection}.`);
  if (silent.length > 0) print(`No answer from: ${silent.map(printableValue).join(', ')}`);
  if (only !== undefined && answers.length === 0 && silent.length === 0)
    print(`There is no live node ${printableValue(only)}.`);
}

/** Texts of an answer come from other nodes over Redis, where other programs may write too. */
export function lineOf(facts: Facts): string {
  if (facts === null) return 'no subscribers';
  if ('subscribers' in facts) {
    const { head, gap, held, subscribers, users, off } = facts;
    const missing = gap === null ? 'none' : `up to rev ${gap.wanted}, ${gap.failures} failed reads`;
    return `rev ${head ?? 'unknown'}  gap ${missing}  held ${held}  subscribers ${subscribers}  users ${users}  off ${off}`;
  }
  const { user, since, rooms, unsentBytes, quiet, off, address, device, agent } = facts;
  const values = [user, new Date(since).toISOString(), address, device ?? '-', agent ?? '-'].map(printableValue);
  const offRooms = off.length === 0 ? 'none' : off.map(printableValue).join(',');
  return `${values.join('  ')}  rooms ${rooms}  unsent ${unsentBytes}  quiet ${quiet ? 'yes' : 'no'}  off ${offRooms}`;
}
