/** Strangers of a private room learn nothing by the time of an answer, and do not wait for its members, nor these for them. */
import { expect, it } from 'vitest';
import { cast, stage as openStage } from '../stage.ts';
import { until } from '../support/until.ts';

const stage = await openStage({ people: cast });

const requested = (room: string): readonly (readonly [string, object])[] => [
  ['message:send', { room, id: crypto.randomUUID(), body: { text: 'hello' } }],
  ['message:send', { room, id: crypto.randomUUID(), body: { text: 'hello' }, replyTo: 1 }],
  ['message:edit', { room, seq: 1, body: { text: 'hello' } }],
  ['message:delete', { room, seq: 1 }],
  ['reaction:add', { room, seq: 1, emoji: '👍' }],
  ['message:pin', { room, seq: 1 }],
  ['room:join', { room }],
  ['room:leave', { room }],
  ['room:invite', { room, user: 'ann' }],
  ['room:role', { room, user: 'ann', role: 'guest' }],
  ['room:remove', { room, user: 'ann' }],
  ['room:ban', { room, user: 'ann' }],
  ['room:mute', { room, user: 'ann' }],
  ['room:update', { room, name: 'mine' }],
  ['room:archive', { room }],
  ['room:delete', { room }],
  ['invitation:create', { room, user: 'ann' }],
  ['invitation:accept', { room }],
  ['invitation:decline', { room }],
  ['link:create', { room }],
];

it('a command of a stranger does not wait for the room’s row, and is answered as for a room that there is not', async () => {
  const room = await stage.room();
  const { stranger } = stage.people;
  await stage.sql.begin(async (sql) => {
    await sql`select from rooms where id = ${room} for update`;
    for (const [name, input] of requested(room)) {
      const nowhere = await stranger.error(name, { ...input, room: 'nowhere' });
      const here = await stranger.error(name, input);
      expect([name, here]).toEqual([name, nowhere]);
    }
    // the id is taken: that is said without the row too
    expect(await stranger.error('room:create', { kind: 'group', name: 'x', id: room })).toMatchObject({
      code: 'conflict',
    });
  });
});

async function untilOneWaits(): Promise<void> {
  await until('a statement waits for a row', async () => {
    // a transaction would see the state of its first query
    const [row] = await stage.sql<{ n: number }[]>`
      select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    return (row?.n ?? 0) > 0;
  });
}

it('a message to a channel does not wait for the row of the channel, and is refused as one of no member', async () => {
  const room = await stage.room('channel');
  const { stranger } = stage.people;
  const { sql } = stage;
  await sql.begin(async (tx) => {
    await tx`select from rooms where id = ${room} for update`;
    for (const [name, input] of requested(room).slice(0, 6)) {
      expect([name, (await stranger.error(name, input)).code]).toEqual([name, 'not_member']);
    }
  });
  expect(await sql`select from messages where room_id = ${room}`).toHaveLength(0);
});

it.each([
  ['message:send', (room: string) => ({ room, id: crypto.randomUUID(), body: { text: 'hello' } })],
  ['reaction:add', (room: string) => ({ room, seq: 1, emoji: '👍' })],
])('a removal that commits first wins over %s that waits for the row', async (name, input) => {
  const room = await stage.room();
  await stage.say('owner', room, 'first');
  const { sql } = stage;
  let requesting: Promise<unknown> = Promise.resolve();
  await sql.begin(async (tx) => {
    await tx`select from rooms where id = ${room} for update`;
    requesting = stage.people.ann.error(name, input(room));
    await untilOneWaits();
    await tx`delete from members where room_id = ${room} and user_id = 'ann'`;
  });
  expect(await requesting).toMatchObject({ code: 'not_found' });
  expect(await sql`select from messages where room_id = ${room}`).toHaveLength(1);
});

it('a user who comes into a room while a batch waits for another room is refused there: that room is not locked', async () => {
  const [held, entered] = [await stage.room(), await stage.room('channel')];
  const { sql } = stage;
  const batch = [
    [held, crypto.randomUUID(), 'ann', 'x'],
    [entered, crypto.randomUUID(), 'stranger', 'x'],
  ];
  let appending: Promise<{ outcome: string }[]> = Promise.resolve([]);
  await sql.begin(async (tx) => {
    await tx`select from rooms where id = ${held} for update`;
    appending = (async () => sql<{ outcome: string }[]>`
      select outcome from append_messages(${[held, entered]}::text[], ${JSON.stringify(batch)}::text::jsonb, '{}')`)();
    await untilOneWaits();
    await tx`insert into members (room_id, user_id, role) values (${entered}, 'stranger', 'member')`;
  });
  expect((await appending).map(({ outcome }) => outcome)).toEqual(['fresh', 'not_member']);
});

it('a member still waits for the row, and is checked again under its lock', async () => {
  const room = await stage.room();
  const { ann } = stage.people;
  let inviting: Promise<unknown> = Promise.resolve();
  await stage.sql.begin(async (sql) => {
    await sql`select from rooms where id = ${room} for update`;
    inviting = stage.people.admin.error('room:invite', { room, user: 'stranger' });
    await untilOneWaits();
    await sql`delete from members where room_id = ${room} and user_id = 'admin'`;
  });
  expect(await inviting).toMatchObject({ code: 'not_found' });
  await ann.ok('room:leave', { room });
});
