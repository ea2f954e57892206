/** What every row is given, and the preparation they share. */
import { asUser, startParley, token, type ParleyBuild, type Server } from './servers.ts';
import type { Lab } from './lab.ts';
import { seed, type Database, type Membership } from './postgres.ts';

export interface Scale {
  readonly quick: boolean;
  readonly rounds: number;
  readonly warmup: number;
  readonly seconds: number;
  readonly idleConnections: number;
}

export interface Context {
  readonly lab: Lab;
  readonly scale: Scale;
  /** Or why there is none; then Parley runs on its embedded one and rows that need a real one are left out. */
  readonly database: Database | string;
  /** Progress for whoever waits. */
  say(text: string): void;
  /** Peers that are compared; a profile of Parley does without them. */
  readonly peers: boolean;
  readonly parley: ParleyBuild;
}

export const parleyUrl = (context: Context): string | undefined =>
  typeof context.database === 'string' ? undefined : context.database.url;

/** A Parley in which these memberships exist. With a real Postgres they are written by SQL, else over the wire. */
export async function parleyWith(
  context: Context,
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

export const tokensFile = (context: Context, name: string, users: readonly string[]): Promise<string> =>
  context.lab.file(`${name}-tokens`, users.map(token));

export const range = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));
