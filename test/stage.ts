/**
 * The one way to set a scene: a server, or several nodes, with people on it and rooms that they are members of. A stage at the
 * top of a file closes at the end of the file. A stage in a test closes at the end of the test.
 */
import { afterAll, onTestFinished } from 'vitest';
import { getCurrentTest } from 'vitest/suite';
import type { Role } from '../src/protocol/model.ts';
import { startCluster, type TestNode } from './support/cluster.ts';
import type { TestDatabase } from './support/database.ts';
import { startServer, tokenOf, type TestServer } from './support/server.ts';
import { connectStock, type StockClient, type StockOptions } from './support/stock-client.ts';
import type { TokenOptions } from './support/test-token.ts';

export interface StageOptions<Person extends string> {
  /**
   * Users with a stock client each. `owner`, or else the first one, creates the rooms. `admin` and `guest` have that role
   * there, `stranger` is not a member, everybody else is a `member`.
   */
  readonly people?: readonly Person[];
  /** The id of a group that is created with the people as its members. */
  readonly room?: string;
  /** Settings of every node. Unless they say so, nothing limits the rate of commands. */
  readonly config?: Readonly<Record<string, string>>;
  /** Several nodes with one Redis and one Postgres. The people connect to the first one. */
  readonly nodes?: number;
}

export type RoomKind = 'group' | 'channel';

export interface ConnectOptions extends TokenOptions, StockOptions {
  /** Its place in the list of nodes. */
  readonly node?: number;
}

export interface SayOptions {
  readonly replyTo?: number;
  readonly lane?: 'low';
}

export interface Stage<Person extends string> {
  /** The first node, or the only one. */
  readonly server: TestServer;
  /** Empty unless the stage has several nodes. */
  readonly nodes: readonly TestNode[];
  readonly sql: TestDatabase['sql'];
  readonly people: Readonly<Record<Person, StockClient>>;
  /** Creates a room with the people as its members. @returns its id */
  readonly room: (kind?: RoomKind) => Promise<string>;
  /** Sends a text. @returns its seq */
  readonly say: (person: Person, room: string, text: string, more?: SayOptions) => Promise<number>;
  /** Connects a user, or another connection of a user; the stage closes it. The user's name is the id in capitals. */
  readonly connect: (user: string, options?: ConnectOptions) => Promise<StockClient>;
}

/** One user for each role in a room, two members, and a user outside. */
export const cast = ['owner', 'admin', 'ann', 'ben', 'guest', 'stranger'] as const;

const unlimited = {
  PARLEY_COMMANDS_PER_SECOND: '100000',
  PARLEY_COMMAND_BURST: '100000',
  PARLEY_API_TIERS: 'off',
};

export async function stage<const Person extends string = never>(
  options: StageOptions<Person> = {},
): Promise<Stage<Person>> {
  const { people: names = [], nodes: size } = options;
  const config = { ...unlimited, ...options.config };
  const cluster = size === undefined ? undefined : await startCluster(size, { env: config });
  const [server = await startServer(config)] = cluster?.nodes ?? [];
  const clients: StockClient[] = [];
  let rooms = 0;
  const close = async (): Promise<void> => {
    for (const client of clients) client.close();
    await (cluster ?? server).stop();
  };
  if (getCurrentTest() === undefined) afterAll(close);
  else onTestFinished(close);

  const connect: Stage<Person>['connect'] = async (
    user,
    { node = 0, name, tier, backend, ttlSeconds, ...more } = {},
  ) => {
    const claims = { name: name ?? user.toUpperCase(), ...definedOf({ tier, backend, ttlSeconds }) };
    const client = await connectStock((cluster?.nodes[node] ?? server).url, await tokenOf(user, claims), more);
    clients.push(client);
    return client;
  };
  const entries = await Promise.all(names.map(async (name) => [name, await connect(name)] as const));
  const people = Object.fromEntries(entries) as Record<Person, StockClient>;

  const room = async (kind: RoomKind = 'group', id = `stage-${++rooms}`): Promise<string> => {
    const [, owner] = entries.find(([name]) => name === 'owner') ?? entries[0] ?? [];
    if (owner === undefined) throw new Error('a room needs one of the people as its owner');
    await owner.ok('room:create', { kind, name: id, id });
    for (const [user, client] of entries) {
      const role = roleOf(user);
      if (client !== owner && role !== undefined) await owner.ok('room:invite', { room: id, user, role });
    }
    return id;
  };
  if (options.room !== undefined) await room('group', options.room);

  return {
    server,
    nodes: cluster?.nodes ?? [],
    sql: server.database.sql,
    people,
    room: (kind) => room(kind),
    connect,
    async say(person, to, text, more = {}) {
      const sent = await people[person].ok('message:send', {
        room: to,
        id: crypto.randomUUID(),
        body: { text },
        ...more,
      });
      return sent.seq;
    },
  };
}

function roleOf(person: string): Exclude<Role, 'owner'> | undefined {
  if (person === 'stranger') return undefined;
  return person === 'admin' || person === 'guest' ? person : 'member';
}

function definedOf(claims: { readonly [K in keyof TokenOptions]: TokenOptions[K] | undefined }): TokenOptions {
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
}
