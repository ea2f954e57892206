/** Rooms that nobody is in, and what counts against the limit of rooms. */
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { RoomPurge } from '../../src/retention/room-purge.ts';
import { limits } from '../../src/protocol/limits.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { stage } from '../stage.ts';
import { createTestDatabase } from '../support/database.ts';
import { silentLog } from '../support/messaging.ts';
import { text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

const most = 5;
const { server, connect } = await stage({ config: { PARLEY_MAX_ROOMS_PER_USER: String(most) } });

const open = async (client: StockClient) =>
  (await client.ok('room:list', { scope: 'open', limit: 100 })).rooms.map(({ id }) => id);

it('a room that was made and left leaves nothing behind, and its id is free', async () => {
  const maker = await connect('maker');
  const { sql } = server.database;
  for (const kind of ['channel', 'group'] as const) {
    for (let n = 0; n < 2 * most; n++) {
      await maker.ok('room:create', { kind, name: `litter ${n}`, id: `litter-${n}` });
      await maker.ok('room:ban', { room: `litter-${n}`, user: 'x' });
      await maker.ok('invitation:create', { room: `litter-${n}`, user: 'y' });
      await maker.ok('link:create', { room: `litter-${n}` });
      await maker.ok('room:leave', { room: `litter-${n}` });
    }
  }
  expect(await open(maker)).toEqual([]);
  const tables = await sql<{ name: string }[]>`
    select t.table_name::text as name from information_schema.tables t join information_schema.columns c using (table_schema, table_name)
    where t.table_schema = current_schema() and t.table_type = 'BASE TABLE' and c.column_name = 'room_id'
      and t.table_name <> 'membership_changes'`;
  for (const { name } of tables) expect([name, await sql`select * from ${sql(name)}`]).toEqual([name, []]);
  expect(await sql`select * from deleted_rooms`).toEqual([]);
});

it('a room that was deleted counts for its maker for a day', async () => {
  const maker = await connect('deleter');
  const { sql } = server.database;
  for (let n = 0; n < most; n++) {
    const { room } = await maker.ok('room:create', { kind: 'channel', name: 'brief' });
    await maker.ok('message:send', text(room.id, 'x'));
    await maker.ok('room:delete', { room: room.id });
  }
  expect(await maker.error('room:create', { kind: 'group', name: 'more' })).toMatchObject({ code: 'limit_reached' });
  await sql`update deleted_rooms set deleted_at = deleted_at - interval '1 day' where made_by = 'deleter'`;
  await maker.ok('room:create', { kind: 'group', name: 'more' });
});

it('a room counts for its maker also after they left it', async () => {
  const [maker, other] = [await connect('leaver'), await connect('stays')];
  for (let n = 0; n < most; n++) {
    await maker.ok('room:create', { kind: 'channel', name: 'kept', id: `kept-${n}` });
    if (n === 0) await other.ok('room:join', { room: 'kept-0' });
    else await maker.ok('message:send', text(`kept-${n}`, 'x'));
    await maker.ok('room:leave', { room: `kept-${n}` });
  }
  expect(await maker.error('room:create', { kind: 'group', name: 'more' })).toMatchObject({ code: 'limit_reached' });
});

it('rooms that others added a user to leave what they may make, up to a limit of their own', async () => {
  const [busy, victim] = [await connect('busy'), await connect('victim')];
  const friend = await connect('friend');
  for (let n = 0; n < most; n++) {
    const { room } = await busy.ok('room:create', { kind: 'group', name: 'trap' });
    await busy.ok('room:invite', { room: room.id, user: 'victim' });
  }
  const { room } = await friend.ok('room:create', { kind: 'group', name: 'beyond' });
  expect(await friend.error('room:invite', { room: room.id, user: 'victim' })).toMatchObject({ code: 'limit_reached' });
  await friend.ok('invitation:create', { room: room.id, user: 'victim' });
  await victim.ok('invitation:accept', { room: room.id });
  for (let n = 1; n < most; n++) await victim.ok('room:create', { kind: 'group', name: 'own' });
  expect(await victim.error('room:create', { kind: 'group', name: 'own' })).toMatchObject({ code: 'limit_reached' });
});

it('a channel with messages waits without being listed; the first user to join owns it', async () => {
  const [first, second, third] = [await connect('first'), await connect('second'), await connect('third')];
  await first.ok('room:create', { kind: 'channel', name: 'Archive of all', id: 'old-channel' });
  await first.ok('message:send', text('old-channel', 'worth keeping'));
  await first.ok('room:leave', { room: 'old-channel' });
  expect(await open(second)).not.toContain('old-channel');
  expect((await second.ok('room:search', { query: 'archive' })).rooms).toEqual([]);
  expect(await second.ok('room:join', { room: 'old-channel' })).toMatchObject({ room: { role: 'owner' } });
  expect(await third.ok('room:join', { room: 'old-channel' })).toMatchObject({ room: { role: 'member' } });
  expect((await second.ok('history', { room: 'old-channel' })).messages).toHaveLength(1);
  expect(await open(third)).toContain('old-channel');
  // guests alone do not hold it
  await second.ok('room:role', { room: 'old-channel', user: 'third', role: 'guest' });
  await second.ok('room:leave', { room: 'old-channel' });
  expect(await second.ok('room:join', { room: 'old-channel' })).toMatchObject({ room: { role: 'owner' } });
});

it('a group that its last member leaves is deleted with what is in it', async () => {
  const [one, two] = [await connect('one'), await connect('two')];
  await one.ok('room:create', { kind: 'group', name: 'Ours', id: 'last-group' });
  await one.ok('room:invite', { room: 'last-group', user: 'two' });
  await one.ok('message:send', text('last-group', 'x'));
  await one.ok('room:leave', { room: 'last-group' });
  await two.event('member', (data) => data.room === 'last-group' && data.user === 'two' && data.role === 'owner');
  await two.ok('room:leave', { room: 'last-group' });
  const { sql } = server.database;
  expect(await sql`select id from rooms where id = 'last-group'`).toEqual([]);
  expect(await two.error('room:create', { kind: 'group', name: 'Ours', id: 'last-group' })).toMatchObject({
    code: 'conflict',
  });
  expect(await sql`select deleted_by, made_by from deleted_rooms where id = 'last-group'`).toEqual([
    { deleted_by: 'two', made_by: 'one' },
  ]);
});

it('a group that is left to guests gives itself to the one who has been there longest', async () => {
  const [owner, early, late] = [await connect('g-owner'), await connect('g-early'), await connect('g-late')];
  const room = 'guest-group';
  await owner.ok('room:create', { kind: 'group', name: 'Readers', id: room });
  await owner.ok('message:send', text(room, 'kept'));
  for (const user of ['g-early', 'g-late']) await owner.ok('room:invite', { room, user, role: 'guest' });
  await owner.ok('room:mute', { room, user: 'g-early' });
  await owner.ok('room:unmute', { room, user: 'g-early' });
  await owner.ok('room:leave', { room });
  await early.event('member', (one) => one.room === room && one.user === 'g-early' && one.role === 'owner');
  await late.event('member', (one) => one.room === room && one.user === 'g-early' && one.role === 'owner');
  expect((await early.ok('message:send', text(room, 'mine now'))).seq).toBe(2);
  expect((await late.ok('history', { room })).messages).toHaveLength(2);
  expect(await late.error('message:send', text(room, 'x'))).toMatchObject({ code: 'forbidden' });
  // the last one deletes it, as ever
  await early.ok('room:leave', { room });
  await late.event('member', (one) => one.room === room && one.user === 'g-late' && one.role === 'owner');
  await late.ok('room:leave', { room });
  expect(await server.database.sql`select id from rooms where id = ${room}`).toEqual([]);
});

it('a member who may write comes before a guest, a muted one too; a muted guest comes last', async () => {
  const owner = await connect('h-owner');
  const room = 'heirs';
  await owner.ok('room:create', { kind: 'group', name: 'Heirs', id: room });
  for (const user of ['h-mute-guest', 'h-guest']) await owner.ok('room:invite', { room, user, role: 'guest' });
  await owner.ok('room:invite', { room, user: 'h-muted' });
  for (const user of ['h-mute-guest', 'h-muted']) await owner.ok('room:mute', { room, user });
  const { sql } = server.database;
  const ownerNow = async () =>
    (
      await sql<{ id: string }[]>`
    select user_id as id from members where room_id = ${room} and role = 'owner'`
    ).map(({ id }) => id);
  const heirs: string[] = [];
  for (let user = 'h-owner'; user !== ''; user = heirs.at(-1) ?? '') {
    await sql`select remove_member(${room}, ${user})`;
    const [heir] = await ownerNow();
    if (heir === undefined) break;
    heirs.push(heir);
  }
  expect(heirs).toEqual(['h-muted', 'h-guest', 'h-mute-guest']);
});

it('groups that were left to guests before migration 0030 get an owner by it, and those of an unfinished import do not', async () => {
  const database = await createTestDatabase({ empty: true });
  const folder = mkdtempSync(join(tmpdir(), 'parley-migrations-'));
  const all = fileURLToPath(new URL('../../migrations/', import.meta.url));
  for (const file of readdirSync(all)) if (file < '0030') copyFileSync(join(all, file), join(folder, file));
  const { sql } = database;
  await migrate(sql, folder);
  await sql`insert into users (id) values ('ann'), ('ben'), ('cid')`;
  await sql`
    insert into rooms (id, kind, created_by, member_count) values
      ('owned', 'group', 'ann', 2), ('lost', 'group', 'ann', 2), ('half', 'group', 'ann', 1), ('open', 'channel', 'ann', 1)`;
  await sql`insert into imports (room_id, shared) values ('half', false)`;
  await sql`
    insert into members (room_id, user_id, role, joined_at) values
      ('owned', 'ann', 'owner', now()), ('owned', 'ben', 'guest', now() - interval '1 day'),
      ('lost', 'ben', 'guest', now()), ('lost', 'cid', 'guest', now() - interval '1 day'),
      ('half', 'ben', 'guest', now()), ('open', 'ben', 'guest', now())`;
  const [before] = await sql<[{ count: number }]>`select count(*) from membership_changes`;
  await migrate(sql);
  expect(await sql`select room_id as room, user_id as user from members where role = 'owner' order by room_id`).toEqual(
    [
      { room: 'lost', user: 'cid' },
      { room: 'owned', user: 'ann' },
    ],
  );
  // nodes beside learn of it
  const [after] = await sql<[{ count: number }]>`select count(*) from membership_changes`;
  expect(after.count).toBe(before.count + 1);
  rmSync(folder, { recursive: true });
  await database.drop();
});

it('a channel that is left to guests has no owner until somebody joins', async () => {
  const [owner, guest] = [await connect('c-owner'), await connect('c-guest')];
  await owner.ok('room:create', { kind: 'channel', name: 'Open', id: 'guest-channel' });
  await owner.ok('message:send', text('guest-channel', 'x'));
  await guest.ok('room:join', { room: 'guest-channel' });
  await owner.ok('room:role', { room: 'guest-channel', user: 'c-guest', role: 'guest' });
  await owner.ok('room:leave', { room: 'guest-channel' });
  expect((await guest.ok('room:members', { room: 'guest-channel' })).members).toMatchObject([{ role: 'guest' }]);
  expect(await owner.ok('room:join', { room: 'guest-channel' })).toMatchObject({ room: { role: 'owner' } });
});

it(`the id of a deleted room is free again after ${limits.deletedRoomDays} days`, async () => {
  const { sql } = server.database;
  const day = `${limits.deletedRoomDays} days`;
  await sql`
    insert into deleted_rooms (id, deleted_by, deleted_at, purged_at) values
      ('young', 'x', now() - ${day}::text::interval + interval '1 hour', now()),
      ('aged', 'x', now() - ${day}::text::interval - interval '1 hour', now()),
      ('unpurged', 'x', now() - ${day}::text::interval - interval '1 hour', null)`;
  const purge = new RoomPurge({ sql, metrics: new Metrics(), log: silentLog, pauseMs: 0 });
  purge.wake();
  await until('the aged ids are gone', async () => {
    const rows = await sql<{ id: string }[]>`select id from deleted_rooms where id in ('young', 'aged', 'unpurged')`;
    return rows.map(({ id }) => id).join() === 'young';
  });
  await purge.stop();
});
