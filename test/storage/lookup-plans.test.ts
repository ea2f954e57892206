/**
 * The lookups of blocks, members and departures by their whole key, counted by Postgres. The plans are made while the
 * tables are small, and the statistics keep saying so. A plan that joins by half of the key then reads every block of a
 * user for each mention. A statement for 100 rooms with mentions took longer than its 15 s. A plan that makes a hash of the
 * other table reads that table whole.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ConnectLoad } from '../../src/connect/connect-load.ts';
import { MemoryFanout } from '../../src/fanout/memory.ts';
import { Changes } from '../../src/messages/changes.ts';
import { mentions } from '../../src/messages/mentions.ts';
import type { Send } from '../../src/messages/writer/append.ts';
import { Visibility } from '../../src/presence/visibility.ts';
import { unread } from '../../src/receipts/receipts.ts';
import { Invitations } from '../../src/rooms/invitations.ts';
import { Rooms } from '../../src/rooms/rooms.ts';
import { whenApplied } from '../../src/storage/confirmations.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { memoryCache } from '../support/cache.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createWriter, makeRoom, send, silentLog } from '../support/messaging.ts';
import { rowsRead } from '../support/rows-read.ts';

const tables = ['blocks', 'departures', 'invitations', 'members', 'mentions', 'messages', 'rooms', 'users'];
const rooms = 50;
/** Blocks of each user, users who block the sender, and members of rooms of others. */
const grown = 10_000;
/** Rows that a run may read: each touches every room, and some of them each mention of 16 in a room. */
const most = 10_000;

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase({ poolSize: 1 });
  const { sql } = database;
  for (const table of tables) await sql`alter table ${sql(table)} set (autovacuum_enabled = off)`;
});
afterAll(() => database.drop());

/** Blocks of which no run finds one, and members and departures of other rooms. */
async function grow(): Promise<void> {
  const { sql } = database;
  await sql`
    insert into blocks (user_id, blocked_id)
    select who, 'blocked-' || n from unnest(array['reader', 'writer', 'guest', 'owner']) who, generate_series(1, ${grown}::int) n
    union all select 'by-' || n, 'owner' from generate_series(1, ${grown}::int) n`;
  await sql`insert into rooms (id, kind, name, created_by, member_count) values ('crowd', 'channel', 'Crowd', 'owner', 50000)`;
  await sql`insert into users (id) select 'member-' || n from generate_series(1, 50000) n`;
  await sql`insert into members (room_id, user_id, role) select 'crowd', 'member-' || n, 'member' from generate_series(1, 50000) n`;
  await sql`insert into departures (room_id, user_id) select 'crowd', 'gone-' || n from generate_series(1, 50000) n`;
}

function runsOf(inAll: readonly string[]): { runs: [string, () => Promise<unknown>][]; end: () => Promise<void> } {
  const { sql } = database;
  const fanout = new MemoryFanout(() => undefined);
  const { writer } = createWriter(sql);
  const changes = new Changes({ sql, fanout, metrics: new Metrics(), log: silentLog, writer, editWindowMs: 0 });
  const limits = { maxRoomsPerUser: 1000, maxMembersPerRoom: 1000 };
  const list = new Rooms({ ...limits, sql, fanout, applied: whenApplied(sql), cache: memoryCache() });
  const invitations = new Invitations({ ...limits, sql, reads: sql, fanout, rooms: list });
  const connectLoad = new ConnectLoad(sql);
  const visibility = new Visibility(sql);
  const sends = (more: Partial<Send>): Promise<unknown> =>
    Promise.all(inAll.map((room) => writer.send(send(room, 'owner', 'x', more))));
  const byName = { names: [['reader'], ['writer']], everybody: false };
  const byAll = { names: [], everybody: true };
  let text = 0;
  const edit = (): Promise<unknown> => {
    const body = JSON.stringify(`@reader ${++text}`);
    return changes.make({ room: 'room-0', seq: 1, user: 'owner', kind: 'edit', body, mentions: byName });
  };
  const invite = (): Promise<unknown> =>
    Promise.all(inAll.map((room) => invitations.create('owner', { room, user: 'guest', role: 'member' })));
  return {
    runs: [
      ['unread', () => unread(sql, 'reader', {})],
      ['mentions', () => mentions(sql, 'reader', { limit: 100 })],
      ['message:send with mentions', () => sends({ mentions: byName })],
      ['message:send with a mention of everybody', () => sends({ mentions: byAll })],
      ['a published reply', () => sends({ replyTo: 1, publisher: 'key' })],
      ['message:edit', edit],
      ['presence:get', () => visibility.of(inAll.map(() => ({ viewer: 'reader', user: 'owner' })))],
      ['presence:get of the blocked', () => visibility.of(inAll.map(() => ({ viewer: 'owner', user: 'reader' })))],
      ['invitation:list', () => invitations.list('guest', { limit: 100 })],
      ['invitation:create', invite],
      ['room:list of direct rooms', () => list.list('reader', { scope: 'mine', limit: 100 })],
      ['CONNECT', () => connectLoad.summaries('reader')],
    ],
    end: async () => {
      await changes.flush();
      await writer.stop();
    },
  };
}

it('each lookup is by the whole key, whatever the statistics say', { timeout: 120_000 }, async () => {
  const { sql } = database;
  const inAll = Array.from({ length: rooms }, (_, n) => `room-${n}`);
  for (const room of inAll) await makeRoom(sql, room, 'owner', 'reader', 'writer');
  for (let n = 0; n < rooms; n++) {
    await sql`insert into users (id) values (${`peer-${n}`})`;
    await sql`select create_room(${`direct-${n}`}, 'direct', null, 'reader', ${`peer-${n}`}, 1000000)`;
  }
  await sql`insert into users (id) values ('guest')`;
  await sql`insert into blocks (user_id, blocked_id) values ('reader', 'nobody')`;
  await sql`analyze`;
  const { runs, end } = runsOf(inAll);
  // often enough for a plan that ignores parameters
  for (const [, run] of runs) for (let n = 0; n < 7; n++) await run();
  await grow();
  const counts: [string, number, number][] = [];
  for (const [name, run] of runs) counts.push([name, await rowsRead(sql, run, 'blocks'), await rowsRead(sql, run)]);
  await end();
  if (process.env['PLANS_SHOW'] !== undefined) console.table(counts);
  // no run finds a block: two rows are those that say that the reader has any
  expect(counts.filter(([, blocks, all]) => blocks > 2 || all > most)).toEqual([]);
});

it.each([
  ['small', 1000],
  ['large', 1001],
])('the members who block the sender of a mention of everybody are found in a %s room', async (room, size) => {
  const { sql } = database;
  const { writer, published } = createWriter(sql);
  await makeRoom(sql, room, 'owner', 'reader');
  await sql`insert into users (id) select ${room} || n from generate_series(1, ${size - 2}::int) n`;
  await sql`insert into members (room_id, user_id, role) select ${room}, ${room} || n, 'member' from generate_series(1, ${size - 2}::int) n`;
  await sql`update rooms set member_count = ${size} where id = ${room}`;
  await sql`
    insert into blocks (user_id, blocked_id) values (${`${room}1`}, 'owner'), (${`${room}2`}, 'owner'), (${`${room}3`}, 'reader'),
      ('owner', ${`${room}4`})`;
  await writer.send(send(room, 'owner', 'x', { mentions: { names: [], everybody: true } }));
  await writer.stop();
  const mention = published.find((one) => one.to === 'room' && one.event === 'mention');
  expect(mention).toMatchObject({ room });
  const { withheld = [] } = mention as { readonly withheld?: readonly string[] };
  expect(withheld.toSorted()).toEqual([`${room}1`, `${room}2`]);
});

it('a mention of everybody in a large room reads no more users who block its sender than the room has members', async () => {
  const { sql } = database;
  const { writer } = createWriter(sql);
  const [room, size] = ['wide', 1500];
  await makeRoom(sql, room, 'wide-owner');
  await sql`insert into users (id) select 'wide-' || n from generate_series(1, ${size - 1}::int) n`;
  await sql`
    insert into members (room_id, user_id, role)
    select ${room}, 'wide-' || n, 'member' from generate_series(1, ${size - 1}::int) n`;
  await sql`update rooms set member_count = ${size} where id = ${room}`;
  const mention = (): Promise<unknown> =>
    writer.send(send(room, 'wide-owner', 'x', { mentions: { names: [], everybody: true } }));
  const withoutBlocks = await rowsRead(sql, mention);
  // the blockers are few
  await sql`insert into blocks (user_id, blocked_id) values ('wide-1', 'wide-owner'), ('elsewhere', 'wide-owner')`;
  expect((await rowsRead(sql, mention)) - withoutBlocks).toBeLessThan(20);
  // and then more than the members
  await sql`
    insert into blocks (user_id, blocked_id) select 'crowd-' || n, 'wide-owner' from generate_series(1, ${grown}::int) n`;
  expect((await rowsRead(sql, mention)) - withoutBlocks).toBeLessThan(3 * size);
  await writer.stop();
});
