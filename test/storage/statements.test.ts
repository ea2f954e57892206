/**
 * The number of statements that a command sends to Postgres. The number is the same for a user in three rooms and in 200, and
 * for a page of one row and of a hundred. A statement for each row or room would change these numbers.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MemoryFanout } from '../../src/fanout/memory.ts';
import { ConnectLoad } from '../../src/connect/connect-load.ts';
import { history } from '../../src/messages/history.ts';
import { mentions } from '../../src/messages/mentions.ts';
import { headsOf, readBackfill } from '../../src/recovery/backfill.ts';
import { pinned } from '../../src/messages/pins.ts';
import { receipts, unread } from '../../src/receipts/receipts.ts';
import { recentRows } from '../../src/recovery/recent-rows.ts';
import { Rooms } from '../../src/rooms/rooms.ts';
import { sync } from '../../src/recovery/catch-up.ts';
import { Threads } from '../../src/threads/threads.ts';
import { createClient } from '../../src/storage/client.ts';
import { whenApplied } from '../../src/storage/confirmations.ts';
import { memoryCache } from '../support/cache.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createSearch } from '../support/messaging.ts';

let database: TestDatabase;
let sql: ReturnType<typeof createClient>;
const sent: string[] = [];
const rooms = Array.from({ length: 200 }, (_, n) => `r${String(n).padStart(3, '0')}`);
const debug = (_: number, statement: string): void => void sent.push(statement);
const roomsOf = { few: rooms.slice(0, 3), many: rooms };
type User = keyof typeof roomsOf;
const day = 86_400_000;

beforeAll(async () => {
  database = await createTestDatabase();
  const { sql: setup } = database;
  await setup`insert into users (id, name) select u, u from unnest(array['few', 'many', 'ann']) as u`;
  await setup`
    insert into rooms (id, kind, name, created_by, last_seq, last_rev, member_count)
    select r, 'channel', 'Room ' || r, 'ann', 30, 30, 3 from unnest(${rooms}::text[]) as r`;
  await setup`insert into members (room_id, user_id, role) select r, u, 'admin' from unnest(${rooms}::text[]) as r, unnest(array['many', 'ann']) as u`;
  await setup`insert into members (room_id, user_id, role) select r, 'few', 'admin' from unnest(${roomsOf.few}::text[]) as r`;
  await setup`
    insert into messages (room_id, seq, id, rev, sender_id, body, created_at, reply_to, changed, pinned_at, pinned_by)
    select r, n, gen_random_uuid(), n, 'ann', '{"text":"hello there"}', now() - interval '1 minute' + n * interval '1 second',
      case when n % 3 = 0 then 1 end, n % 5 = 0, case when n % 5 = 0 then now() end, case when n % 5 = 0 then 'ann' end
    from unnest(${rooms}::text[]) as r, generate_series(1, 30) n order by r, n`;
  await setup`
    insert into reaction_counts (room_id, seq, emoji, count, first_rev)
    select r, n, '👍', 1, n from unnest(${rooms}::text[]) as r, generate_series(5, 30, 5) n`;
  await setup`insert into mentions (room_id, seq, user_id, at) select r, n, u, now() from unnest(${rooms}::text[]) as r, generate_series(2, 30, 4) n, unnest(array['few', 'many', '*']) as u`;
  for (const room of rooms) await setup`select recount_threads(${room}, false)`;
  await setup`
    insert into thread_follows (room_id, root, user_id, read_seq, followed_at)
    select m.room_id, 1, m.user_id, 3, now() from members m`;
  await setup`select index_messages(${rooms}::text[], 'simple', 100)`;
  sql = createClient(database.url, { max: 1, debug, connection: {} });
  await sql`select 1`;
});
afterAll(async () => {
  await sql.end();
  await database.drop();
});

const fanout = new MemoryFanout(() => undefined);

it.each<[string, number, (user: User, room: string) => Promise<unknown>]>([
  ['history', 1, (user, room) => history(sql, user, { room, limit: 100 }, '')],
  [
    'sync, from the beginning of every room',
    2,
    (user) =>
      sync(sql, user, {
        cursors: Object.fromEntries(roomsOf[user].map((id) => [id, 0])),
        limit: 128,
        bytes: 1024 * 1024,
      }),
  ],
  [
    'CONNECT with its ready',
    3,
    async (user) => {
      const connectLoad = new ConnectLoad(sql);
      const identity = { user, name: null, tier: null, key: 'k', issuedAt: Date.now(), expires: Date.now() + day };
      expect((await connectLoad.memberships(identity)).rooms).toHaveLength(roomsOf[user].length);
      expect((await connectLoad.summaries(user)).rooms).toHaveLength(roomsOf[user].length);
    },
  ],
  ['unread', 1, async (user) => expect((await unread(sql, user, {})).rooms).toHaveLength(roomsOf[user].length)],
  ['room:list', 1, (user) => newRooms().list(user, { scope: 'mine', limit: 100 })],
  ['room:list of open channels', 1, (user) => newRooms().list(user, { scope: 'open', limit: 100 })],
  ['room:search', 3, (user) => newRooms().search(user, { query: 'room', limit: 50 })],
  ['room:members', 2, (user, room) => newRooms().members(user, { room, limit: 100 })],
  ['room:receipts', 1, (user, room) => receipts(sql, user, { room, limit: 100 })],
  ['room:pins', 1, (user, room) => pinned(sql, user, room)],
  ['search', 2, (user) => createSearch(sql).page(user, { query: 'hello', limit: 50 })],
  ['search in a room', 2, (user, room) => createSearch(sql).page(user, { query: 'hello', room, limit: 50 })],
  ['mentions', 1, (user) => mentions(sql, user, { limit: 100 })],
  ['thread:list', 1, (user) => new Threads({ sql, fanout }).list(user, { limit: 100 })],
  ['thread:history', 1, (user, room) => new Threads({ sql, fanout }).history(user, { room, root: 1, limit: 100 })],
  ['heads of rooms', 1, (user) => headsOf(sql, roomsOf[user])],
  ['missed events of a room', 1, (_, room) => readBackfill(sql, room, 0)],
  [
    'tails of rooms',
    1,
    (user) =>
      recentRows(
        sql,
        roomsOf[user].slice(0, 32).map((room) => ({ room, after: 0 })),
        256,
      ),
  ],
])('%s is %i statements, however many rooms and rows', async (_, statements, run) => {
  for (const user of ['few', 'many'] as const) {
    sent.length = 0;
    await run(user, 'r001');
    expect(sent).toHaveLength(statements);
  }
});

it('sync has one more statement for the rows behind the first 128', async () => {
  sent.length = 0;
  const cursors = Object.fromEntries(rooms.map((id) => [id, 0]));
  const page = await sync(sql, 'many', { cursors, limit: 1000, bytes: 1024 * 1024 });
  expect(page.more).toBe(true);
  expect(sent).toHaveLength(3);
});

function newRooms(): Rooms {
  return new Rooms({
    sql,
    fanout,
    applied: whenApplied(sql),
    cache: memoryCache(),
    maxRoomsPerUser: 1000,
    maxMembersPerRoom: 1000,
  });
}
