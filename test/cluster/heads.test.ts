/** Rooms past the first page of `ready`: a client that gets a head in an answer expects the events after it. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { limits } from '../../src/protocol/limits.ts';
import { bodiesReceived, startCluster, type Cluster } from '../support/cluster.ts';
import { addMember } from '../support/messaging.ts';
import { text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

let cluster: Cluster;
let ann: StockClient;
let ben: StockClient;
let rooms = 0;

/** Ben's node does not receive events of Ann's. He is in more rooms than `ready` lists; the tests use rooms after those. */
beforeAll(async () => {
  cluster = await startCluster(2, { env: { PARLEY_COMMAND_BURST: '100000' } });
  const { sql } = cluster.database;
  ann = await cluster.connect(0, 'ann');
  await sql`
    select create_room('a' || n, 'group', 'x', 'ben', null, 1000000) from generate_series(1, ${limits.readyRooms}::int) n`;
  for (let n = 1; n <= 6; n++) {
    const room = `late-${n}`;
    await sql`select create_room(${room}, 'channel', ${`name${n}`}, 'ann', null, 1000000)`;
    await addMember(sql, room, 'ann', 'ben');
    await ann.ok('message:send', text(room, 'before'));
  }
  ben = await cluster.connect(1, 'ben');
  cluster.nodes[1]?.redis.cut();
  await until('the node is unreachable', async () => (await cluster.nodes[1]?.reach()) === false);
});
afterAll(() => cluster?.stop());

it.each<[string, (room: string) => Promise<unknown>]>([
  ['history', (room) => ben.ok('history', { room })],
  ['sync', (room) => ben.ok('sync', { cursors: { [room]: 0 } })],
  ['room:get', (room) => ben.ok('room:get', { room })],
  ['room:join of a member', (room) => ben.ok('room:join', { room })],
  ['room:search', (room) => ben.ok('room:search', { query: room.replace('late-', 'name') })],
  ['room:list', () => ben.ok('room:list', { after: `late-${rooms - 1}`, limit: 1 })],
])('%s gives the head of a room: later events come, though Redis is down', async (_, ask) => {
  const room = `late-${++rooms}`;
  await ask(room);
  await ann.ok('message:send', text(room, 'after'));
  expect(await bodiesReceived(ben, room, 1)).toEqual(['after']);
});
