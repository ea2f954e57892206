/** Clients that come back with cursors, served from memory: what they get, who may have it, and what it costs. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readMetrics } from '../support/metrics.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';

let server: TestServer;
let owner: StockClient;
beforeAll(async () => {
  server = await startServer({
    PARLEY_COMMANDS_PER_SECOND: '100000',
    PARLEY_COMMAND_BURST: '100000',
    PARLEY_TAIL_MESSAGES: '50',
    PARLEY_TAIL_BYTES: '100000',
  });
  owner = await connectStock(server.url, await tokenOf('owner'));
});
afterAll(async () => {
  owner.close();
  await server.stop();
});

let rooms = 0;
async function makeRoom(messages: number, body: unknown = 'x', ...members: string[]): Promise<string> {
  const room = `replay-${++rooms}`;
  await owner.ok('room:create', { kind: 'channel', name: room, id: room });
  for (const user of members) await owner.ok('room:invite', { room, user });
  for (let n = 0; n < messages; n++) await owner.ok('message:send', text(room, body));
  return room;
}

const counts = async (): Promise<{ reads: number; buffered: number; postgres: number; bytes: number }> => {
  const metrics = await readMetrics(server.url);
  const of = (name: string): number => metrics.get(name) ?? 0;
  return {
    reads: of('parley_tail_reads_total'),
    buffered: of('parley_sync_rooms_total{source="tail"}'),
    postgres: of('parley_sync_rooms_total{source="postgres"}'),
    bytes: of('parley_tail_bytes'),
  };
};

describe('many clients that come back', () => {
  it('cost one read a room, whatever their cursors', async () => {
    const names = Array.from({ length: 40 }, (_, n) => `back-${n}`);
    const room = await makeRoom(45, 'x', ...names);
    const clients = await Promise.all(names.map(async (name) => connectStock(server.url, await tokenOf(name))));
    const before = await counts();
    const pages = await Promise.all(clients.map((client, n) => client.ok('sync', { cursors: { [room]: n } })));
    for (const [n, page] of pages.entries()) {
      const revs = page.rooms[room]?.messages.map(({ rev }) => rev);
      expect(revs).toEqual(Array.from({ length: 45 - n }, (_, i) => n + 1 + i));
      expect(page).toMatchObject({ more: false, rooms: { [room]: { rev: 45, more: false } } });
    }
    const after = await counts();
    expect(after.reads - before.reads).toBe(1);
    expect(after.buffered - before.buffered).toBe(40);
    expect(after.postgres).toBe(before.postgres);
    for (const client of clients) client.close();
  });

  it('get the same from Postgres below the replay buffer, and nothing of rooms that are not theirs', async () => {
    const room = await makeRoom(60, 'x');
    const stranger = await connectStock(server.url, await tokenOf('stranger'));
    const before = await counts();
    expect((await owner.ok('sync', { cursors: { [room]: 5 } })).rooms[room]?.messages).toHaveLength(55);
    expect((await owner.ok('sync', { cursors: { [room]: 61 } })).rooms[room]?.reset).toBe(true);
    expect((await stranger.ok('sync', { cursors: { [room]: 55 } })).rooms).toEqual({});
    const after = await counts();
    expect(after.buffered).toBe(before.buffered);
    expect(after.postgres - before.postgres).toBe(3);
    stranger.close();
  });

  it('see changes since the buffer was read, and their own reactions', async () => {
    const room = await makeRoom(5, 'first', 'ann');
    const ann = await connectStock(server.url, await tokenOf('ann'));
    expect((await ann.ok('sync', { cursors: { [room]: 0 } })).rooms[room]?.messages).toHaveLength(5);
    await ann.ok('reaction:add', { room, seq: 1, emoji: '👍' });
    await owner.ok('message:edit', { room, seq: 2, body: { text: 'second' } });
    await owner.ok('message:delete', { room, seq: 3 });
    await owner.ok('message:send', text(room, 'last'));
    const before = await counts();
    const mine = await ann.ok('sync', { cursors: { [room]: 0 } });
    const theirs = await owner.ok('sync', { cursors: { [room]: 0 } });
    const history = await ann.ok('history', { room });
    const found = mine.rooms[room]?.messages ?? [];
    expect(found.toSorted((a, b) => a.seq - b.seq)).toEqual(history.messages);
    expect(found.find(({ seq }) => seq === 1)?.reactions).toEqual([{ emoji: '👍', count: 1, mine: true }]);
    expect(theirs.rooms[room]?.messages.find(({ seq }) => seq === 1)?.reactions).toMatchObject([{ mine: false }]);
    expect((await counts()).buffered - before.buffered).toBe(2);
    ann.close();
  });

  it('get nothing any more of a room that they left', async () => {
    const room = await makeRoom(5, 'x', 'leaver');
    const leaver = await connectStock(server.url, await tokenOf('leaver'));
    expect((await leaver.ok('sync', { cursors: { [room]: 0 } })).rooms[room]?.messages).toHaveLength(5);
    await leaver.ok('room:leave', { room });
    expect((await leaver.ok('sync', { cursors: { [room]: 0 } })).rooms).toEqual({});
    leaver.close();
  });
});

describe('the limits of replay buffers', () => {
  it('bytes over all rooms: the least recently used room loses its buffer', async () => {
    const big = 'x'.repeat(4000);
    const found = await Promise.all(Array.from({ length: 4 }, () => makeRoom(10, big)));
    for (const room of found) {
      expect((await owner.ok('sync', { cursors: { [room]: 0 } })).rooms[room]?.messages).toHaveLength(10);
      expect((await counts()).bytes).toBeLessThanOrEqual(100_000);
    }
    const before = await counts();
    const again = await owner.ok('sync', { cursors: Object.fromEntries(found.map((room) => [room, 0])) });
    expect(Object.values(again.rooms).map(({ messages }) => messages.length)).toEqual([10, 10, 10, 10]);
    expect((await counts()).reads).toBeGreaterThan(before.reads);
  });
});

it('PARLEY_TAIL_MESSAGES=0: every sync is a query', async () => {
  const plain = await startServer({ PARLEY_TAIL_MESSAGES: '0' });
  const client = await connectStock(plain.url, await tokenOf('owner'));
  await client.ok('room:create', { kind: 'channel', name: 'plain', id: 'plain' });
  await client.ok('message:send', text('plain', 'x'));
  expect((await client.ok('sync', { cursors: { plain: 0 } })).rooms['plain']?.messages).toHaveLength(1);
  const metrics = await readMetrics(plain.url);
  expect(metrics.get('parley_sync_rooms_total{source="postgres"}')).toBe(1);
  expect(metrics.get('parley_tail_reads_total')).toBe(0);
  client.close();
  await plain.stop();
});
