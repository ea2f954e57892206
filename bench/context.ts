/** The parts that every row gets, and the shared preparation of the rows. */
import { asUser, startParley, token, type ParleyBuild, type Server } from './servers.ts';
import type { Lab } from './lab.ts';
import type { Quiet } from './settle.ts';
import type { Crowd, LeftOut, Running, Subject } from './subjects/subject.ts';
import { seed, type Database, type Membership } from './postgres.ts';

/** The length and the number of the rounds. */
export interface Rounds {
  readonly rounds: number;
  readonly warmup: number;
  readonly seconds: number;
}

export interface Scale extends Rounds {
  readonly quick: boolean;
  /** The rounds of rows that are not headlines. */
  readonly side: Rounds;
  readonly idleConnections: number;
  readonly connects: number;
  /** The waits before memory is measured at once, and before it is measured settled. */
  readonly atOnce: Quiet;
  readonly settled: Quiet;
}

/** The parts that start a Parley. */
export interface Grounds {
  readonly lab: Lab;
  /** The database, or the reason why there is none. Without one Parley runs embedded, and rows that need a real one are left out. */
  readonly database: Database | string;
  readonly parley: ParleyBuild;
}

export interface Context extends Grounds {
  readonly scale: Scale;
  /** Prints the progress. */
  say(text: string): void;
  /** The compared subjects, Parley first. */
  readonly subjects: readonly Subject[];
  /** Whether stored messages are compared with one insert a message. */
  readonly inserts: boolean;
  /** Notes a subject that is missing in a row, for the table. */
  leaveOut(absent: LeftOut): void;
}

export const parleyUrl = (context: Grounds): string | undefined =>
  typeof context.database === 'string' ? undefined : context.database.url;

/** A Parley with these memberships. With a real Postgres SQL writes them, and otherwise commands do. */
export async function parleyWith(
  context: Grounds,
  memberships: readonly Membership[],
  embedded = false,
): Promise<Server> {
  const database = embedded || typeof context.database === 'string' ? undefined : context.database;
  const server = await startParley(context.lab, context.parley, database?.url);
  if (database !== undefined) {
    await seed(database, memberships);
    return server;
  }
  const made = new Set<string>();
  for (const { room, user } of memberships) {
    await asUser(server.port, user, [
      made.has(room) ? ['room:join', { room }] : ['room:create', { kind: 'channel', id: room, name: room }],
    ]);
    made.add(room);
  }
  return server;
}

export const tokensFile = (context: Grounds, name: string, users: readonly string[]): Promise<string> =>
  context.lab.file(`${name}-tokens`, users.map(token));

export interface Opened {
  readonly subject: Subject;
  readonly running: Running;
}

/** Starts every subject that can take part with this crowd. */
export async function openAll(context: Context, crowd: Crowd, row: string): Promise<Opened[]> {
  const opened: Opened[] = [];
  for (const subject of context.subjects) {
    const why = subject.cannot?.(context, crowd);
    if (why === undefined) opened.push({ subject, running: await subject.open(context, crowd) });
    else context.leaveOut({ row, subject: subject.title, why });
  }
  return opened;
}

export const range = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));
