/**
 * The rows that Postgres reads for the warm-up of the cache, counted as in lookup-plans.test.ts. The warm-up sorted all rooms
 * at each start of a node: 999,000 rows with a million rooms. The owner of a room was searched among all of its members.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { KnownUsers } from '../../src/rooms/known-users.ts';
import { memoryCache } from '../support/cache.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { rowsRead } from '../support/rows-read.ts';

const rooms = 20_000;
const members = 20_000;
const warm = 100;
/** `a-large` is the first room by its id, and `z-1` one of the last. */
const large = ['a-large', 'z-1'];

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase({ poolSize: 1 });
  const { sql } = database;
  for (const table of ['members', 'messages', 'rooms', 'users']) {
    await sql`alter table ${sql(table)} set (autovacuum_enabled = off)`;
  }
  await sql`insert into users (id) select 'member-' || n from generate_series(1, ${members}::int) n union all select 'owner'`;
  await sql`
    insert into rooms (id, kind, name, created_by, member_count, last_seq, last_rev)
    select 'z-' || n, 'group', 'Z', 'owner', 1, n, n from generate_series(1, ${rooms}::int) n
    union all select 'a-large', 'group', 'Large', 'owner', 1, 9, 9`;
  // the statistics say that a room has one member
  await sql`insert into members (room_id, user_id, role) select id, 'owner', 'owner' from rooms`;
  await sql`analyze rooms`;
  await sql`analyze members`;
  await sql`
    insert into members (room_id, user_id, role)
    select room, 'member-' || n, 'member' from unnest(${large}::text[]) room, generate_series(1, ${members}::int) n`;
});
afterAll(() => database.drop());

/** Rows that a warm-up reads, and the rooms of a list whose owner is in the cache after it. */
async function warmed(of: readonly string[]): Promise<{ rooms: number; members: number; known: string[] }> {
  const { sql } = database;
  const known = new KnownUsers({ sql, background: sql, cache: memoryCache() });
  const ofRooms = await rowsRead(sql, () => known.warm(warm), 'rooms');
  const again = new KnownUsers({ sql, background: sql, cache: memoryCache() });
  const ofMembers = await rowsRead(sql, () => again.warm(warm), 'members');
  const cached: string[] = [];
  for (const room of of) {
    if ((await rowsRead(sql, () => known.ownerOf(room), 'members')) === 0) cached.push(room);
  }
  return { rooms: ofRooms, members: ofMembers, known: cached };
}

it('takes the busiest of the first 1000 rooms, where Postgres has no statistics', async () => {
  // the sample ends behind z-10897
  const read = await warmed(['a-large', 'z-10890', 'z-9']);
  expect(read.known).toEqual(['z-10890']);
  expect(read.rooms).toBeLessThan(2000);
  expect(read.members).toBeLessThan(10 * warm);
});

it('takes the rooms with the most messages by the statistics of Postgres', async () => {
  const { sql } = database;
  await sql`
    insert into messages (room_id, seq, id, rev, sender_id, body, created_at)
    select case when n % 3 = 0 then 'a-large' when n % 3 = 1 then 'z-1' else 'z-' || n end, n, gen_random_uuid(), n, 'owner', '{}', now()
    from generate_series(1, 9000) n`;
  await sql`analyze messages`;
  const read = await warmed(['a-large', 'z-1', 'z-10890']);
  expect(read.known).toEqual(['a-large', 'z-1']);
  expect(read.rooms).toBeLessThan(10 * warm);
  expect(read.members).toBeLessThan(10 * warm);
});

it('finds the owner of a large room, and without an owner the member who joined first', async () => {
  const { sql } = database;
  const known = new KnownUsers({ sql, background: sql, cache: memoryCache() });
  expect(await rowsRead(sql, () => known.ownerOf('a-large'), 'members')).toBeLessThan(5);
  expect(await known.ownerOf('a-large')).toBe('owner');
  await sql`delete from members where room_id = 'a-large' and role = 'owner'`;
  await sql`update members set joined_at = joined_at - interval '1 day' where room_id = 'a-large' and user_id = 'member-77'`;
  const later = new KnownUsers({ sql, background: sql, cache: memoryCache() });
  expect(await later.ownerOf('a-large')).toBe('member-77');
  expect(await later.ownerOf('nowhere')).toBeUndefined();
});
