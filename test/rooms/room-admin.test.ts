/** Settings, archive, mutes, bans, removal, ownership, deletion: their effects and their events. */
import { describe, expect, it } from 'vitest';
import { rightsOf } from '../../src/protocol/permissions.ts';
import { limits } from '../../src/protocol/limits.ts';
import { stage } from '../stage.ts';
import { closedGate } from '../support/gate.ts';
import { addMember } from '../support/messaging.ts';
import { text } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

const { server, people, connect } = await stage({ people: ['ann', 'ben', 'cid'] });
const { ann, ben, cid } = people;
let rooms = 0;

/** Ann's, with Ben as a member. */
async function roomOfTwo(kind: 'group' | 'channel' = 'group'): Promise<string> {
  const room = `room-${++rooms}`;
  await ann.ok('room:create', { kind, name: 'Room', id: room });
  await ann.ok('room:invite', { room, user: 'ben' });
  await ben.event('member', (m) => m.room === room);
  return room;
}

describe('settings', () => {
  it('are set one by one, published to the room and reset; an unchanged setting is not published', async () => {
    const room = await roomOfTwo();
    const set = {
      name: 'Other',
      topic: 'All of it',
      retentionDays: 30,
      slowMode: 5,
      senders: 'admins',
      editWindow: 60,
    } as const;
    const { room: summary } = await ann.ok('room:update', { room, ...set });
    expect(summary).toEqual({ id: room, kind: 'group', role: 'owner', seq: 0, rev: 0, read: 0, ...set });
    const received = await ben.event('room', (data) => data.room === room);
    expect(received).toEqual({ room, change: 'updated', by: 'ann', state: { id: room, kind: 'group', ...set } });
    await ann.ok('room:update', { room, topic: 'All of it' });
    await ann.ok('room:update', {
      room,
      topic: null,
      retentionDays: null,
      slowMode: 0,
      senders: 'all',
      editWindow: null,
    });
    const { room: seen } = await ben.ok('room:get', { room });
    expect(seen).toEqual({
      id: room,
      kind: 'group',
      name: 'Other',
      role: 'member',
      seq: 0,
      rev: 0,
      read: 0,
      members: 2,
    });
    expect(ben.received('room').filter((data) => data.room === room)).toHaveLength(2);
    const late = await connect('ben');
    expect(late.received('ready')[0]?.rooms.find(({ id }) => id === room)).toMatchObject({
      name: 'Other',
      role: 'member',
    });
  });

  it.each([
    ['a topic', { topic: 'x'.repeat(limits.roomTopicLength) }, { topic: 'x'.repeat(limits.roomTopicLength + 1) }],
    ['retention', { retentionDays: limits.retentionDays }, { retentionDays: limits.retentionDays + 1 }],
    ['slow mode', { slowMode: limits.slowModeSeconds }, { slowMode: limits.slowModeSeconds + 1 }],
    ['an edit window', { editWindow: limits.editWindowSeconds }, { editWindow: limits.editWindowSeconds + 1 }],
    ['a name', { name: 'x'.repeat(limits.roomNameLength) }, { name: 'x'.repeat(limits.roomNameLength + 1) }],
    ['nothing', { topic: null }, {}],
  ])('%s has its limit', async (_name, fits, passes) => {
    const room = await roomOfTwo();
    await ann.ok('room:update', { room, ...fits });
    expect(await ann.error('room:update', { room, ...passes })).toMatchObject({ code: 'invalid' });
  });

  it('senders: only owners and admins send and edit; members react, and delete their own messages', async () => {
    const room = await roomOfTwo();
    await ann.ok('message:send', text(room, 'news'));
    const own = await ben.ok('message:send', text(room, 'mine'));
    const taken = await ben.ok('message:send', text(room, 'to be taken back'));
    await ann.ok('room:update', { room, senders: 'admins' });
    expect(await ben.error('message:edit', { room, seq: own.seq, body: 'news of mine' })).toMatchObject({
      code: 'forbidden',
    });
    // an edit that took effect before and comes again
    const { rev } = (await ann.ok('history', { room })).messages.find(({ seq }) => seq === own.seq) ?? {};
    await ben.ok('message:edit', { room, seq: own.seq, body: text(room, 'mine').body });
    await ben.ok('message:delete', { room, seq: taken.seq });
    const left = (await ann.ok('history', { room })).messages.find(({ seq }) => seq === own.seq);
    expect(left).toMatchObject({ rev, body: text(room, 'mine').body });
    await ann.ok('message:edit', { room, seq: 1, body: 'news, mended' });
    expect(await ben.error('message:send', text(room, 'x'))).toMatchObject({
      code: 'forbidden',
      message: 'Only owners and admins may send here.',
    });
    await ben.ok('reaction:add', { room, seq: 1, emoji: '👍' });
    await ann.ok('room:role', { room, user: 'ben', role: 'admin' });
    await ben.ok('message:send', text(room, 'x'));
    await ben.ok('message:edit', { room, seq: own.seq, body: 'news of mine' });
  });

  it("an edit window takes the place of the server's, for authors", async () => {
    const room = await roomOfTwo();
    await ann.ok('room:update', { room, editWindow: 3600 });
    await ben.ok('message:send', text(room, 'x'));
    await ben.ok('message:edit', { room, seq: 1, body: 'y' });
    await server.database.sql`update messages set created_at = now() - interval '3601 seconds' where room_id = ${room}`;
    expect(await ben.error('message:edit', { room, seq: 1, body: 'z' })).toMatchObject({ code: 'forbidden' });
    await ann.ok('message:edit', { room, seq: 1, body: 'z' });
    await ann.ok('room:update', { room, editWindow: 0 });
    await ben.ok('message:edit', { room, seq: 1, body: 'at last' });
  });
});

describe('slow mode', () => {
  it('lets a member send once in its time, and says when the next may come', async () => {
    const room = await roomOfTwo();
    await ann.ok('room:update', { room, slowMode: 600 });
    const first = text(room, 'first');
    await ben.ok('message:send', first);
    const error = await ben.error('message:send', text(room, 'second'));
    expect(error).toMatchObject({ code: 'rate_limited', retryable: true });
    expect(error.retryAfter).toBeGreaterThan(500_000);
    expect(error.retryAfter).toBeLessThanOrEqual(600_000);
    // what is stored is answered as it was
    expect(await ben.ok('message:send', first)).toMatchObject({ seq: 1 });
    for (let n = 0; n < 3; n++) await ann.ok('message:send', text(room, n));
    await server.database.sql`
      update members set last_sent_at = now() - interval '601 seconds' where room_id = ${room} and user_id = 'ben'`;
    expect(await ben.ok('message:send', text(room, 'second'))).toMatchObject({ seq: 5 });
    await ann.ok('room:update', { room, slowMode: 0 });
    await ben.ok('message:send', text(room, 'third'));
  });

  it('takes the first of a batch that may be stored, and leaves other rooms alone', async () => {
    const { sql } = server.database;
    const [slow, quick] = [await roomOfTwo(), await roomOfTwo()];
    await addMember(sql, slow, 'ann', 'cid');
    await ann.ok('room:update', { room: slow, slowMode: 60 });
    const batch = [
      [slow, crypto.randomUUID(), 'ben', 'to nothing', 99],
      [slow, crypto.randomUUID(), 'ben', 1],
      [quick, crypto.randomUUID(), 'ben', 1],
      [slow, crypto.randomUUID(), 'cid', 1],
      [slow, crypto.randomUUID(), 'ben', 2],
      [quick, crypto.randomUUID(), 'ben', 2],
      [slow, crypto.randomUUID(), 'ann', 1],
      [slow, crypto.randomUUID(), 'ann', 2],
      [slow, crypto.randomUUID(), 'dan', 1],
    ];
    const append = (): Promise<{ outcome: string; waits: number | null }[]> => sql`
      select outcome, case when outcome = 'slow' then round(extract(epoch from sent_at - now()))::int end as waits
      from append_messages(${[slow, quick]}::text[], ${JSON.stringify(batch)}::text::jsonb, '{}')`;
    const outcomes = (await append()).map(({ outcome }) => outcome);
    expect(outcomes).toEqual([
      'no_reply_target',
      'fresh',
      'fresh',
      'fresh',
      'slow',
      'fresh',
      'fresh',
      'fresh',
      'not_found',
    ]);
    const again = await append();
    expect(again[4]).toMatchObject({ outcome: 'slow' });
    expect(again[4]?.waits).toBeGreaterThan(50);
    expect(again.filter(({ outcome }) => outcome === 'duplicate')).toHaveLength(6);
  });
});

describe('an archived room', () => {
  it('can only be read until it is unarchived; the room gets both events', async () => {
    const room = await roomOfTwo('channel');
    const before = text(room, 'before');
    await ben.ok('message:send', before);
    const { room: summary } = await ann.ok('room:archive', { room });
    const archived = summary.archived ?? 0;
    expect(Math.abs(archived - Date.now())).toBeLessThan(60_000);
    expect(await ben.event('room', (data) => data.room === room)).toMatchObject({
      change: 'archived',
      by: 'ann',
      state: { archived },
    });
    for (const [name, input] of [
      ['message:send', text(room, 'x')],
      ['message:edit', { room, seq: 1, body: 'x' }],
      ['message:delete', { room, seq: 1 }],
      ['reaction:add', { room, seq: 1, emoji: '👍' }],
    ] as const) {
      expect(await ben.error(name, input)).toMatchObject({ code: 'forbidden', message: 'The room is archived.' });
    }
    expect(await ben.ok('message:send', before)).toMatchObject({ seq: 1 });
    expect(await cid.error('room:join', { room })).toMatchObject({ code: 'forbidden' });
    expect((await ben.ok('history', { room })).messages).toHaveLength(1);
    const open = await cid.ok('room:list', { scope: 'open', limit: 100 });
    expect(open.rooms.map(({ id }) => id)).not.toContain(room);
    expect((await ben.ok('room:list', { limit: 100 })).rooms.find(({ id }) => id === room)).toMatchObject({ archived });
    await ann.ok('room:archive', { room });
    await ann.ok('room:unarchive', { room });
    await ben.event('room', (data) => data.room === room && data.change === 'unarchived');
    expect(ben.received('room').filter((data) => data.room === room)).toHaveLength(2);
    await ben.ok('message:send', text(room, 'after'));
  });
});

describe('a muted member', () => {
  it('sends, edits, reacts and signals nothing, and gets the end of the mute', async () => {
    const room = await roomOfTwo();
    await ben.ok('message:send', text(room, 'x'));
    const { until: end } = await ann.ok('room:mute', { room, user: 'ben', seconds: 3600 });
    const received = await ben.event('member', (m) => m.room === room && m.change === 'muted');
    expect(received).toEqual({
      room,
      user: 'ben',
      name: 'BEN',
      role: 'member',
      change: 'muted',
      by: 'ann',
      until: end,
    });
    const message = `You are muted in this room until ${new Date(end ?? 0).toISOString()}.`;
    for (const [name, input] of [
      ['message:send', text(room, 'y')],
      ['message:edit', { room, seq: 1, body: 'y' }],
      ['reaction:add', { room, seq: 1, emoji: '👍' }],
    ] as const) {
      expect(await ben.error(name, input)).toMatchObject({ code: 'forbidden', message });
    }
    expect(await ben.error('signal', { room, name: 'typing' })).toMatchObject({ code: 'forbidden' });
    expect((await ben.ok('room:get', { room })).room.muted).toEqual({ until: end });
    expect((await ann.ok('room:members', { room })).members[1]).toMatchObject({ user: 'ben', muted: { until: end } });
    const late = await connect('ben');
    expect(await late.error('signal', { room, name: 'typing' })).toMatchObject({ code: 'forbidden' });
    await ben.ok('message:delete', { room, seq: 1 });
    await ann.ok('room:unmute', { room, user: 'ben' });
    await ben.event('member', (m) => m.room === room && m.change === 'unmuted');
    await ben.ok('signal', { room, name: 'typing' });
    await ben.ok('message:send', text(room, 'y'));
  });

  it('is free when the time is over, and muted without an end until it is lifted', async () => {
    const room = await roomOfTwo();
    await ann.ok('room:mute', { room, user: 'ben', seconds: 1 });
    await until('the mute is over', async () => {
      const ack = (await ben.socket.emitWithAck('message:send', text(room, 'x'))) as { ok: boolean };
      return ack.ok;
    });
    await ben.ok('signal', { room, name: 'typing' });
    expect(await ann.ok('room:mute', { room, user: 'ben' })).toEqual({ until: null });
    expect(await ben.error('message:send', text(room, 'x'))).toMatchObject({
      message: 'You are muted in this room.',
    });
    expect((await ben.ok('room:get', { room })).room.muted).toEqual({ until: null });
    const late = await connect('ben');
    expect(await late.error('signal', { room, name: 'typing' })).toMatchObject({ code: 'forbidden' });
    expect(await ann.error('room:mute', { room, user: 'ben', seconds: limits.muteSeconds + 1 })).toMatchObject({
      code: 'invalid',
    });
  });

  it('is still muted after leaving and coming back, and no more as an admin', async () => {
    const room = await roomOfTwo('channel');
    await ann.ok('room:mute', { room, user: 'ben' });
    await ben.ok('room:leave', { room });
    const { room: summary } = await ben.ok('room:join', { room });
    expect(summary.muted).toEqual({ until: null });
    expect(await ben.error('message:send', text(room, 'x'))).toMatchObject({ code: 'forbidden' });
    expect(await ben.error('signal', { room, name: 'typing' })).toMatchObject({ code: 'forbidden' });
    await ann.ok('room:role', { room, user: 'ben', role: 'admin' });
    await ben.ok('message:send', text(room, 'x'));
    await ann.ok('room:role', { room, user: 'ben', role: 'member' });
    await ben.ok('message:send', text(room, 'x'));
    // the mute of a user who left is lifted too
    await ann.ok('room:mute', { room, user: 'ben' });
    await ben.ok('room:leave', { room });
    await ann.ok('room:unmute', { room, user: 'ben' });
    expect(await ann.error('room:unmute', { room, user: 'nobody' })).toMatchObject({ code: 'not_found' });
    expect((await ben.ok('room:join', { room })).room.muted).toBeUndefined();
  });
});

describe('a member', () => {
  it('that is removed gets the event, and nothing of the room after it', async () => {
    const room = await roomOfTwo();
    await ann.ok('room:remove', { room, user: 'ben' });
    const removed = { room, user: 'ben', name: 'BEN', role: null, change: 'removed', by: 'ann' };
    expect(await ben.event('member', (m) => m.room === room && m.role === null)).toEqual(removed);
    expect(await ann.event('member', (m) => m.room === room && m.role === null)).toEqual(removed);
    await ann.ok('message:send', text(room, 'behind his back'));
    expect(await ben.error('history', { room })).toMatchObject({ code: 'not_found' });
    expect(ben.received('message').filter((m) => m.room === room)).toEqual([]);
    expect(await ann.error('room:remove', { room, user: 'ben' })).toMatchObject({ code: 'not_found' });
    expect((await ann.ok('room:get', { room })).room.members).toBe(1);
  });

  it('that gets the room is its owner, the old one an admin; the room gets both events', async () => {
    const room = await roomOfTwo();
    expect(await ann.ok('room:transfer', { room, user: 'ben' })).toMatchObject({ member: { role: 'owner' } });
    for (const client of [ann, ben]) {
      await client.event('member', (m) => m.room === room && m.user === 'ben' && m.role === 'owner');
      await client.event('member', (m) => m.room === room && m.user === 'ann' && m.role === 'admin');
    }
    expect(await ann.error('room:delete', { room })).toMatchObject({ code: 'forbidden' });
    expect(await ben.error('room:transfer', { room, user: 'cid' })).toMatchObject({ code: 'not_found' });
    await ben.ok('room:delete', { room });
  });

  it('two owners at once make one', async () => {
    const room = await roomOfTwo();
    await ann.ok('room:invite', { room, user: 'cid' });
    const acks = await Promise.all(
      ['ben', 'cid'].map((user) => ann.socket.emitWithAck('room:transfer', { room, user }) as Promise<{ ok: boolean }>),
    );
    expect(acks.filter(({ ok }) => ok)).toHaveLength(1);
    const { members } = await ann.ok('room:members', { room, role: 'owner' });
    expect(members).toHaveLength(1);
  });
});

describe('a banned user', () => {
  it('is out at once and cannot come back in any way until the ban is lifted', async () => {
    const room = await roomOfTwo('channel');
    const { token } = await ann.ok('link:create', { room });
    await ann.ok('room:ban', { room, user: 'ben', reason: 'noise' });
    const banned = { room, user: 'ben', name: 'BEN', role: null, change: 'banned', by: 'ann' };
    expect(await ben.event('member', (m) => m.room === room && m.role === null)).toEqual(banned);
    const own = { code: 'forbidden', message: 'You are banned from this room.' };
    expect(await ben.error('room:join', { room })).toMatchObject(own);
    expect(await ben.error('link:join', { token })).toMatchObject(own);
    const of = { code: 'forbidden', message: 'The user is banned from this room.' };
    expect(await ann.error('room:invite', { room, user: 'ben' })).toMatchObject(of);
    expect(await ann.error('invitation:create', { room, user: 'ben' })).toMatchObject(of);
    await ann.ok('room:ban', { room, user: 'ben' });
    const at = expect.any(Number) as number;
    expect(await ann.ok('room:bans', { room })).toEqual({
      bans: [{ user: 'ben', name: 'BEN', by: 'ann', reason: 'noise', at }],
      after: 'ben',
      more: false,
    });
    await ann.ok('room:unban', { room, user: 'ben' });
    await ann.ok('room:unban', { room, user: 'ben' });
    await ben.ok('room:join', { room });
  });

  it('need not have been there, and loses the invitation', async () => {
    const room = await roomOfTwo();
    await ann.ok('invitation:create', { room, user: 'cid' });
    await ann.ok('room:ban', { room, user: 'cid' });
    expect(await cid.error('invitation:accept', { room })).toMatchObject({ code: 'not_found' });
    await ann.ok('room:ban', { room, user: 'who-never-was' });
    expect((await ann.ok('room:bans', { room, limit: 1 })).more).toBe(true);
    expect((await ann.ok('room:bans', { room, after: 'cid' })).bans).toMatchObject([
      { user: 'who-never-was', name: null },
    ]);
    expect(await ann.error('room:ban', { room, user: 'ann' })).toMatchObject({ code: 'invalid' });
  });

  it('is one of so many at most', async () => {
    const room = await roomOfTwo();
    await server.database.sql`
      insert into bans (room_id, user_id, banned_by)
      select ${room}, 'banned-' || n, 'ann' from generate_series(1, ${limits.roomBans - 1}) n`;
    await ann.ok('room:ban', { room, user: 'last' });
    expect(await ann.error('room:ban', { room, user: 'one-more' })).toMatchObject({ code: 'limit_reached' });
    await ann.ok('room:ban', { room, user: 'last' });
  });
});

describe('a deleted room', () => {
  it('is published, is gone for all, and its rows are removed; its id is never used again', async () => {
    const { sql } = server.database;
    const room = await roomOfTwo('channel');
    for (let n = 1; n <= 3; n++) await ben.ok('message:send', text(room, n));
    await ben.ok('message:edit', { room, seq: 1, body: 'edited' });
    await ben.ok('reaction:add', { room, seq: 2, emoji: '👍' });
    await ann.ok('invitation:create', { room, user: 'dora' });
    await ann.ok('room:ban', { room, user: 'eve' });
    await ann.ok('link:create', { room });
    await ann.ok('room:delete', { room });
    for (const client of [ann, ben]) {
      expect(await client.event('room', (data) => data.room === room && data.change === 'deleted')).toEqual({
        room,
        change: 'deleted',
        by: 'ann',
      });
      expect(await client.error('signal', { room, name: 'x' })).toMatchObject({ code: 'not_member' });
    }
    for (const [name, input] of [
      ['history', { room }],
      ['room:get', { room }],
      ['room:join', { room }],
      ['message:send', text(room, 'x')],
      ['message:edit', { room, seq: 1, body: 'x' }],
      ['read', { room, seq: 1 }],
      ['room:leave', { room }],
      ['room:members', { room }],
      ['room:delete', { room }],
    ] as const) {
      expect([name, (await ben.error(name, input)).code]).toEqual([name, 'not_found']);
    }
    expect((await ben.ok('sync', { cursors: { [room]: 0 } })).rooms).toEqual({});
    expect((await ben.ok('room:list', { limit: 100 })).rooms.map(({ id }) => id)).not.toContain(room);
    await until('its rows are gone', async () => {
      const [row] = await sql<
        [{ done: boolean }]
      >`select purged_at is not null as done from deleted_rooms where id = ${room}`;
      return row.done;
    });
    const tables = await sql<{ name: string }[]>`
      select table_name::text as name from information_schema.columns
      where table_schema = current_schema() and column_name = 'room_id' and table_name <> 'membership_changes'`;
    expect(tables.length).toBeGreaterThan(7);
    for (const { name } of tables) {
      expect([name, (await sql`select from ${sql(name)} where room_id = ${room}`).length]).toEqual([name, 0]);
    }
    for (const client of [ann, cid]) {
      expect(await client.error('room:create', { kind: 'channel', name: 'Again', id: room })).toMatchObject({
        code: 'conflict',
      });
    }
  });

  it('is invisible to a user who connects while its rows are there', async () => {
    const { sql } = server.database;
    const room = await roomOfTwo();
    // as if the purge had not come to it
    await sql`delete from rooms where id = ${room}`;
    const late = await connect('ben');
    expect(late.received('ready')[0]?.rooms.map(({ id }) => id)).not.toContain(room);
    expect(await late.error('signal', { room, name: 'x' })).toMatchObject({ code: 'not_member' });
  });

  it('is refused to a user who makes it at the same moment', async () => {
    const { sql } = server.database;
    const room = await roomOfTwo();
    const [began, commit] = [closedGate(), closedGate()];
    const deleting = sql.begin(async (tx) => {
      await tx`select delete_room(${room}, 'ann', ${rightsOf('delete')}::text::jsonb)`;
      began.open();
      await commit.opened;
    });
    await began.opened;
    const making = cid.error('room:create', { kind: 'group', name: 'Mine', id: room });
    await until('it waits for the deletion', async () => {
      const rows = await sql`
        select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
      return rows.length > 0;
    });
    commit.open();
    await deleting;
    expect(await making).toMatchObject({ code: 'conflict' });
    expect(await sql`select from rooms where id = ${room}`).toHaveLength(0);
  });
});
