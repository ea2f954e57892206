/** The marks of moderation on a user: neither leaving the room nor another command removes them. */
import { describe, expect, it } from 'vitest';
import { RoomPurge } from '../../src/retention/room-purge.ts';
import { limits } from '../../src/protocol/limits.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { stage } from '../stage.ts';
import { silentLog } from '../support/messaging.ts';
import { text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

const { server, people } = await stage({ people: ['ann', 'ben', 'cid'] });
const { ann, ben, cid } = people;
let rooms = 0;

/** A channel of Ann's with Ben in it. */
async function channel(): Promise<string> {
  const room = `moderated-${++rooms}`;
  await ann.ok('room:create', { kind: 'channel', name: 'Room', id: room });
  await ben.ok('room:join', { room });
  return room;
}

const back = async (client: StockClient, room: string): Promise<void> => {
  await client.ok('room:leave', { room });
  await client.ok('room:join', { room });
};

const waits = async (room: string) =>
  (await ann.ok('invitation:list', { room })).invitations.map(({ user, by }) => `${user} by ${by}`);

describe('slow mode', () => {
  it('goes on when a member leaves and comes back', async () => {
    const room = await channel();
    await ann.ok('room:update', { room, slowMode: 600 });
    await ben.ok('message:send', text(room, 'first'));
    await back(ben, room);
    const error = await ben.error('message:send', text(room, 'second'));
    expect(error).toMatchObject({ code: 'rate_limited' });
    expect(error.retryAfter).toBeGreaterThan(500_000);
    await ann.ok('room:remove', { room, user: 'ben' });
    await ben.ok('room:join', { room });
    expect(await ben.error('message:send', text(room, 'second'))).toMatchObject({ code: 'rate_limited' });
  });

  it('takes one edit of a member in its time, apart from messages', async () => {
    const room = await channel();
    for (const body of ['one', 'two']) await ben.ok('message:send', text(room, body));
    await ann.ok('room:update', { room, slowMode: 600 });
    await ben.ok('message:edit', { room, seq: 1, body: 'mended' });
    for (const seq of [1, 2]) {
      const error = await ben.error('message:edit', { room, seq, body: `news ${seq}` });
      expect(error).toMatchObject({ code: 'rate_limited', retryable: true });
      expect(error.retryAfter).toBeGreaterThan(500_000);
      expect(error.retryAfter).toBeLessThanOrEqual(600_000);
    }
    // the same body again is no edit, and a deletion says nothing
    await ben.ok('message:edit', { room, seq: 1, body: 'mended' });
    await back(ben, room);
    expect(await ben.error('message:edit', { room, seq: 1, body: 'more' })).toMatchObject({ code: 'rate_limited' });
    await ben.ok('message:delete', { room, seq: 2 });
    await ann.ok('message:edit', { room, seq: 1, body: 'of the owner' });
    await ann.ok('message:edit', { room, seq: 1, body: 'again' });
    await server.database.sql`update slow_edits set at = now() - interval '601 seconds' where room_id = ${room}`;
    await ben.ok('message:edit', { room, seq: 1, body: 'in time' });
    await ann.ok('room:update', { room, slowMode: 0 });
    await ben.ok('message:edit', { room, seq: 1, body: 'free' });
  });
});

describe('a mute', () => {
  it('stops invitations, links, pins and settings too, and goes on after the member left', async () => {
    const room = await channel();
    const { seq } = await ann.ok('message:send', text(room, 'x'));
    const tries = [
      ['invitation:create', { room, user: 'cid' }],
      ['room:invite', { room, user: 'cid' }],
      ['link:create', { room }],
      ['message:pin', { room, seq }],
      ['room:update', { room, topic: 'said all the same' }],
    ] as const;
    await ann.ok('room:role', { room, user: 'ben', role: 'admin' });
    const { token } = await ben.ok('link:create', { room });
    await ann.ok('room:mute', { room, user: 'ben' });
    for (const [command, input] of tries) {
      expect([command, await ben.error(command, input)]).toMatchObject([
        command,
        { code: 'forbidden', message: 'You are muted in this room.' },
      ]);
    }
    expect(await cid.error('link:join', { token })).toMatchObject({ code: 'not_found' });
    // what only orders the room stays allowed
    await ben.ok('room:ban', { room, user: 'troll' });
    await ann.ok('room:role', { room, user: 'ben', role: 'member' });
    await back(ben, room);
    expect(await ben.error('invitation:create', { room, user: 'cid' })).toMatchObject({ code: 'forbidden' });
    await ann.ok('room:unmute', { room, user: 'ben' });
    await ben.ok('invitation:create', { room, user: 'cid' });
  });

  it('is not shed by inheriting the room while there is another heir', async () => {
    const room = await channel();
    await cid.ok('room:join', { room });
    await ann.ok('room:mute', { room, user: 'ben' });
    await ann.ok('room:leave', { room });
    expect((await cid.ok('room:members', { room, role: 'owner' })).members.map(({ user }) => user)).toEqual(['cid']);
    expect(await ben.error('message:send', text(room, 'x'))).toMatchObject({ code: 'forbidden' });
  });
});

describe('the invitations of a user', () => {
  it.each([
    ['a ban', 'room:ban', {}],
    ['a removal', 'room:remove', {}],
    ['a lower role', 'room:role', { role: 'guest' }],
  ])('go with %s', async (_, command, more) => {
    const room = await channel();
    await ben.ok('invitation:create', { room, user: 'cid' });
    await ann.ok('invitation:create', { room, user: 'dan' });
    await ann.ok(command as 'room:ban', { room, user: 'ben', ...more });
    expect(await waits(room)).toEqual(['dan by ann']);
    expect(await cid.error('invitation:accept', { room })).toMatchObject({ code: 'not_found' });
  });

  it('go with a ban after they left', async () => {
    const room = await channel();
    await ben.ok('invitation:create', { room, user: 'cid' });
    await ben.ok('room:leave', { room });
    expect(await waits(room)).toEqual(['cid by ben']);
    await ann.ok('room:ban', { room, user: 'ben' });
    expect(await waits(room)).toEqual([]);
  });
});

describe('a guest', () => {
  it('a guest who leaves comes back as a guest, unless an admin adds the user as a member', async () => {
    const room = await channel();
    await cid.ok('room:join', { room });
    await ann.ok('room:role', { room, user: 'ben', role: 'guest' });
    await back(ben, room);
    expect((await ben.ok('room:get', { room })).room.role).toBe('guest');
    await ben.ok('room:leave', { room });
    const { token } = await ann.ok('link:create', { room });
    expect((await ben.ok('link:join', { token })).room.role).toBe('guest');
    await ben.ok('room:leave', { room });
    await cid.ok('invitation:create', { room, user: 'ben' });
    expect((await ben.ok('invitation:accept', { room })).room.role).toBe('guest');
    await ben.ok('room:leave', { room });
    await ann.ok('invitation:create', { room, user: 'ben' });
    expect((await ben.ok('invitation:accept', { room })).room.role).toBe('member');
    await back(ben, room);
    expect((await ben.ok('room:get', { room })).room.role).toBe('member');
  });
});

it(`notes of edits in slow mode go after ${limits.slowModeSeconds} seconds, the longest slow mode`, async () => {
  const { sql } = server.database;
  await sql`
    insert into slow_edits (room_id, user_id, at) values
      ('any', 'late', now() - ${limits.slowModeSeconds + 60} * interval '1 s'),
      ('any', 'lately', now() - ${limits.slowModeSeconds - 60} * interval '1 s')`;
  const purge = new RoomPurge({ sql, metrics: new Metrics(), log: silentLog, pauseMs: 0 });
  purge.wake();
  await until('the old one is gone', async () => {
    const rows = await sql<{ user_id: string }[]>`select user_id from slow_edits where room_id = 'any'`;
    return rows.map((row) => row.user_id).join() === 'lately';
  });
  await purge.stop();
});
