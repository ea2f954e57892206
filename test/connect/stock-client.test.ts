import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Message } from '../../src/protocol/model.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock, text, type StockClient, type StockOptions } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

let server: TestServer;
const clients: StockClient[] = [];

beforeAll(async () => {
  server = await startServer({ PARLEY_COMMANDS_PER_SECOND: '100000', PARLEY_COMMAND_BURST: '100000' });
});
afterAll(async () => {
  for (const client of clients) client.close();
  await server.stop();
});

async function connect(user: string, options: StockOptions = {}): Promise<StockClient> {
  const client = await connectStock(server.url, await tokenOf(user, { name: `The ${user}` }), options);
  clients.push(client);
  return client;
}

async function fill(client: StockClient, room: string, from: number, to: number): Promise<void> {
  const numbers = Array.from({ length: to - from + 1 }, (_, i) => from + i);
  await Promise.all(numbers.map((n) => client.ok('message:send', text(room, n))));
}

const seqs = (messages: readonly Message[]) => messages.map((message) => message.seq);
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

const transportOf = ({ socket }: StockClient): string => socket.io.engine.transport.name;
const bare = (...transports: ('polling' | 'websocket')[]): StockOptions => ({
  transports,
  addTrailingSlash: false,
});
const statusOf = async (path: string): Promise<number> => (await fetch(`${server.url}${path}`)).status;

describe('a stock socket.io-client', () => {
  it('gets its user and the heads of its rooms', async () => {
    const first = await connect('ready-1');
    const { room } = await first.ok('room:create', { kind: 'channel', name: 'Ready' });
    await fill(first, room.id, 1, 3);
    const again = await connect('ready-1');
    const ready = await again.event('ready');
    expect(ready).toMatchObject({ user: { id: 'ready-1', name: 'The ready-1' }, more: false });
    expect(ready.expires).toBeGreaterThan(Date.now());
    expect(ready.rooms).toEqual([
      { id: room.id, kind: 'channel', name: 'Ready', role: 'owner', seq: 3, rev: 3, read: 0 },
    ]);
    expect(ready.session).toBe(again.socket.id);
  });

  it('connects without the trailing slash: by WebSocket, by long-polling, and by an upgrade', async () => {
    const slashed = await connect('slashed');
    const { room } = await slashed.ok('room:create', { kind: 'channel', name: 'Slashes' });
    const others = [
      await connect('bare-ws', bare('websocket')),
      await connect('bare-poll', bare('polling')),
      await connect('bare-both', bare('polling', 'websocket')),
    ];
    await until('the last has upgraded', () => transportOf(others[2] as StockClient) === 'websocket');
    expect(others.map(transportOf)).toEqual(['websocket', 'polling', 'websocket']);
    for (const other of others) await other.ok('room:join', { room: room.id });
    await slashed.ok('message:send', text(room.id, 'to all'));
    for (const other of others) {
      await other.event('message', (message) => message.room === room.id);
      expect((await other.ok('message:send', text(room.id, 'back'))).seq).toBeGreaterThan(1);
    }
    await until('all four came', () => slashed.received('message').filter((one) => one.room === room.id).length === 4);
    // Not every address that begins so.
    expect(await statusOf('/socket.io?EIO=4&transport=nonsense')).toBe(400);
    expect(await statusOf('/socket.iox?EIO=4&transport=polling')).toBe(404);
  });

  it('gets an ack with seq, and a second client receives the message', async () => {
    const [alice, bob] = [await connect('alice'), await connect('bob')];
    const { room } = await alice.ok('room:create', { kind: 'channel', name: 'Both' });
    await bob.ok('room:join', { room: room.id });
    const send = { room: room.id, id: randomUUID(), body: { text: 'Grüße 👋', list: [1, null, { a: true }] } };
    const ack = await alice.ok('message:send', send);
    expect(ack).toMatchObject({ seq: 1, rev: 1 });
    const message = {
      room: room.id,
      seq: 1,
      rev: 1,
      id: send.id,
      from: 'alice',
      name: 'The alice',
      body: send.body,
      at: ack.at,
    };
    expect(await bob.event('message')).toEqual(message);
    expect(await alice.event('message')).toEqual(message);
    const reply = await bob.ok('message:send', { ...text(room.id, 'yes'), replyTo: 1, lane: 'high' });
    expect(await alice.event('message', (m) => m.seq === 2)).toMatchObject({ replyTo: 1, rev: reply.rev });
  });

  it('pages through history in both directions', async () => {
    const client = await connect('reader');
    const { room } = await client.ok('room:create', { kind: 'group', name: 'Pages' });
    await fill(client, room.id, 1, 25);

    const back: number[][] = [];
    for (let before: number | undefined; ;) {
      const page = await client.ok('history', { room: room.id, limit: 10, ...(before && { before }) });
      back.push(seqs(page.messages));
      expect(page).toMatchObject({ rev: 25, more: back.length < 3 });
      if (!page.more) break;
      before = page.before ?? 0;
    }
    expect(back).toEqual([range(16, 25), range(6, 15), range(1, 5)]);

    const forward: number[][] = [];
    for (let after = 0; ;) {
      const page = await client.ok('history', { room: room.id, limit: 10, after });
      forward.push(seqs(page.messages));
      if (!page.more) break;
      after = page.after ?? 0;
    }
    expect(forward).toEqual([range(1, 10), range(11, 20), range(21, 25)]);
    const beyond = await client.ok('history', { room: room.id, after: 25 });
    expect(beyond).toMatchObject({ messages: [], before: null, after: null, more: false, rev: 25 });
  });

  it('gets exactly the 1,000 messages that it missed, in order', async () => {
    const sender = await connect('busy');
    const { room } = await sender.ok('room:create', { kind: 'channel', name: 'Away' });
    const offline = await connect('away');
    await offline.ok('room:join', { room: room.id });
    await fill(sender, room.id, 1, 5);
    await until('the first five have arrived', () => offline.received('message').length === 5);
    const cursor = offline.received('message').at(-1)?.rev ?? 0;
    offline.close();
    await fill(sender, room.id, 6, 1005);

    const back = await connect('away');
    const head = (await back.event('ready')).rooms.find(({ id }) => id === room.id);
    expect(head).toMatchObject({ seq: 1005, rev: 1005 });
    const missed: Message[] = [];
    let calls = 0;
    for (let rev = cursor, more = true; more; calls++) {
      const answer = await back.ok('sync', { cursors: { [room.id]: rev }, limit: 300 });
      const part = answer.rooms[room.id];
      if (part === undefined) throw new Error('the room is left out');
      missed.push(...part.messages);
      ({ rev, more } = part);
      expect(answer.more).toBe(more);
    }
    expect(calls).toBe(4);
    expect(seqs(missed)).toEqual(range(6, 1005));
    expect(missed.map(({ rev }) => rev)).toEqual(range(6, 1005));
    expect(new Set(missed.map(({ id }) => id)).size).toBe(1000);
    expect(back.received('message')).toEqual([]);
  });

  it('gets the limits of its frames in the handshake', async () => {
    const client = await connect('curious');
    expect(await client.error('message:sent', {})).toMatchObject({ code: 'unknown_command', retryable: false });
    expect(await client.error('history')).toMatchObject({ code: 'invalid' });
    expect(await client.error('history', { room: 'a b' })).toMatchObject({ code: 'invalid' });
    expect(await client.error('history', { room: 'nowhere' })).toMatchObject({ code: 'not_found' });
    const both = await client.error('history', { room: 'nowhere', before: 1, after: 1 });
    expect(both).toMatchObject({ code: 'invalid', message: 'give before or after, not both' });
  });
});
