/** `parley inspect`: the state of a room or a connection on each node. For operators, beside running servers. */
import { parseArgs } from 'node:util';
import type { Config } from '../config/config.ts';
import { inspectNodes, type Facts, type Inspected } from '../presence/inspection.ts';
import { inspectQuestion, type InspectQuestion } from '../protocol/inspection.ts';
import { StartupError } from '../startup-error.ts';
import { openServer } from '../storage/database.ts';
import { openRedis } from '../storage/redis.ts';
import type { postgres } from '../storage/sql.ts';
import { createLog } from '../telemetry/log.ts';
import { printableValue } from '../telemetry/printable.ts';

export const inspectHelp = `  inspect room ROOM            print the head of a room in Postgres and on each node (needs DATABASE_URL)
  inspect connection ID        print a live connection: its user, node, rooms and unsent bytes (needs REDIS_URL)
        [--node N]             query one node only`;

type Print = (line: string) => void;

/** @throws {StartupError} */
export async function inspectCommand(args: string[], configure: () => Config, print: Print): Promise<void> {
  const { values, positionals } = parse(args);
  const [what, id, ...more] = positionals;
  if ((what !== 'room' && what !== 'connection') || id === undefined || more.length > 0) {
    throw new StartupError('The command inspect needs room ROOM or connection ID.\nSee parley --help.');
  }
  const question = inspectQuestion.safeParse({ [what]: id });
  if (!question.success) throw new StartupError(`The command inspect needs a valid id of a ${what}.`);
  const config = configure();
  if ('room' in question.data) await printRoom(config, question.data.room, print);
  if (config.redisUrl === undefined) {
    const why = 'the nodes answer over Redis: set REDIS_URL to the value that the nodes have.';
    if ('connection' in question.data)
      throw new StartupError(`The command inspect connection queries live nodes, and ${why}`);
    return print(`No live answers: ${why}`);
  }
  printAnswers(await query(config, question.data, values.node), question.data, values.node, print);
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, options: { node: { type: 'string' } }, allowPositionals: true });
  } catch (error) {
    throw new StartupError(`${(error as Error).message}\nSee parley --help.`);
  }
}

async function printRoom(config: Config, room: string, print: Print): Promise<void> {
  if (config.databaseUrl === undefined) {
    throw new StartupError(
      'The command inspect room reads the database of the nodes: set DATABASE_URL to the value that the nodes have.',
    );
  }
  const database = await openServer({ url: config.databaseUrl, poolSize: 2 });
  try {
    const stored = await database.explaining(() => readRoom(database.sql, room));
    if (stored === undefined) throw new StartupError(`The database has no room ${room}.`);
    const { kind, seq, rev, first, members } = stored;
    print(`Postgres  ${kind}  rev ${rev}  seq ${seq}  first seq ${first}  members ${members}`);
  } finally {
    await database.close();
  }
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

async function query(config: Config, question: InspectQuestion, node: string | undefined): Promise<Inspected> {
  const { redisUrl: url = '', redisPrefix: prefix } = config;
  const redis = await openRedis({ url, prefix, log: createLog({ level: 'silent', pretty: false, node: 'cli' }) });
  try {
    if (!redis.up) throw new StartupError('Redis does not answer (REDIS_URL).');
    return await inspectNodes({ redis, prefix }, question, node);
  } finally {
    await redis.close();
  }
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
