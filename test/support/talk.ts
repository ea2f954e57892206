/** A server with some people on it, and rooms that they are all in. */
import { startServer, tokenOf, type TestServer } from './server.ts';
import { connectStock, type StockClient } from './stock-client.ts';

const names = ['owner', 'admin', 'ann', 'ben', 'guest', 'stranger'] as const;
export type Person = (typeof names)[number];

export interface TalkStage {
  readonly server: TestServer;
  readonly people: Readonly<Record<Person, StockClient>>;
  /** A room with everybody in it but the stranger. */
  room(kind?: 'group' | 'channel'): Promise<string>;
  /** @returns the seq. */
  say(who: Person, room: string, text: string, more?: { replyTo?: number; lane?: 'low' }): Promise<number>;
  stop(): Promise<void>;
}

let rooms = 0;

export async function openTalkStage(env: Record<string, string> = {}): Promise<TalkStage> {
  const server = await startServer({ PARLEY_COMMANDS_PER_SECOND: '100000', PARLEY_COMMAND_BURST: '100000', ...env });
  const open = async (name: Person): Promise<[Person, StockClient]> => [
    name,
    await connectStock(server.url, await tokenOf(name, { name: name.toUpperCase() })),
  ];
  const people = Object.fromEntries(await Promise.all(names.map(open))) as Record<Person, StockClient>;
  return {
    server,
    people,
    async room(kind = 'group') {
      const room = `talk-${++rooms}`;
      await people.owner.ok('room:create', { kind, name: room, id: room });
      for (const [user, role] of [
        ['admin', 'admin'],
        ['ann', 'member'],
        ['ben', 'member'],
        ['guest', 'guest'],
      ] as const) {
        await people.owner.ok('room:invite', { room, user, role });
      }
      return room;
    },
    async say(who, room, text, more = {}) {
      const sent = await people[who].ok('message:send', { room, id: crypto.randomUUID(), body: { text }, ...more });
      return sent.seq;
    },
    async stop() {
      for (const client of Object.values(people)) client.close();
      await server.stop();
    },
  };
}
