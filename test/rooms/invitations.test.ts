/** Ways into a room: invitations and join links. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/protocol/limits.ts';
import { stage } from '../stage.ts';
import { text } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

const { server, people, connect } = await stage({
  people: ['ann', 'ben', 'cid'],
  config: { PARLEY_MAX_MEMBERS_PER_ROOM: '3' },
});
const { ann, ben, cid } = people;
let rooms = 0;

async function annsRoom(kind: 'group' | 'channel' = 'group'): Promise<string> {
  const room = `way-${++rooms}`;
  await ann.ok('room:create', { kind, name: 'Room', id: room });
  return room;
}

describe('an invitation', () => {
  it('waits with the invited user, who joins by accepting; the inviter gets an event', async () => {
    const room = await annsRoom();
    const { invitation } = await ann.ok('invitation:create', { room, user: 'ben', role: 'admin' });
    const at = expect.any(Number) as number;
    expect(invitation).toEqual({
      room,
      kind: 'group',
      name: 'Room',
      user: 'ben',
      role: 'admin',
      by: 'ann',
      byName: 'ANN',
      at,
      expires: at,
    });
    expect(invitation.expires - invitation.at).toBeGreaterThan((limits.invitationDays - 1) * 86_400_000);
    const created = { change: 'created', room, user: 'ben', by: 'ann', invitation };
    expect(await ben.event('invitation', (data) => data.room === room)).toEqual(created);
    expect((await ben.ok('invitation:list', {})).invitations).toContainEqual(invitation);
    expect((await ann.ok('invitation:list', { room })).invitations).toEqual([invitation]);
    // until then the room is none of his
    expect(await ben.error('history', { room })).toMatchObject({ code: 'not_found' });
    expect(await cid.error('invitation:accept', { room })).toMatchObject({ code: 'not_found' });
    const { room: summary } = await ben.ok('invitation:accept', { room });
    expect(summary).toMatchObject({ id: room, role: 'admin' });
    const accepted = { change: 'accepted', room, user: 'ben', by: 'ben' };
    for (const client of [ann, ben]) {
      expect(await client.event('invitation', (data) => data.room === room && data.change === 'accepted')).toEqual(
        accepted,
      );
    }
    const joined = await ann.event('member', (m) => m.room === room && m.user === 'ben');
    expect(joined).toMatchObject({ change: 'joined', role: 'admin', by: 'ben' });
    expect(await ben.error('invitation:accept', { room })).toMatchObject({ code: 'not_found' });
    expect((await ann.ok('invitation:list', { room })).invitations).toEqual([]);
    await ben.ok('message:send', text(room, 'here'));
  });

  it('that is declined or cancelled is gone, and both users get an event', async () => {
    const room = await annsRoom();
    await ann.ok('invitation:create', { room, user: 'ben' });
    await ben.ok('invitation:decline', { room });
    const declined = { change: 'declined', room, user: 'ben', by: 'ben' };
    expect(await ann.event('invitation', (data) => data.room === room)).toEqual(declined);
    expect(await ben.error('invitation:accept', { room })).toMatchObject({ code: 'not_found' });
    await ann.ok('invitation:create', { room, user: 'cid' });
    await ann.ok('invitation:cancel', { room, user: 'cid' });
    await cid.event('invitation', (data) => data.room === room && data.change === 'cancelled');
    expect(await cid.error('invitation:accept', { room })).toMatchObject({ code: 'not_found' });
    expect(await ann.error('invitation:cancel', { room, user: 'cid' })).toMatchObject({ code: 'not_found' });
  });

  it('to a member is a conflict; again it takes the place of the one before', async () => {
    const room = await annsRoom();
    await ann.ok('invitation:create', { room, user: 'ben' });
    await ann.ok('invitation:create', { room, user: 'ben', role: 'guest' });
    expect((await ann.ok('invitation:list', { room })).invitations).toMatchObject([{ role: 'guest' }]);
    expect((await ben.ok('invitation:accept', { room })).room.role).toBe('guest');
    expect(await ann.error('invitation:create', { room, user: 'ben' })).toMatchObject({ code: 'conflict' });
  });

  it('has no effect when it has ended, or when the invited user joined in another way', async () => {
    const { sql } = server.database;
    const room = await annsRoom();
    await ann.ok('invitation:create', { room, user: 'ben' });
    await sql`update invitations set expires_at = now() - interval '1 second' where room_id = ${room}`;
    expect((await ben.ok('invitation:list', { limit: 100 })).invitations.map((one) => one.room)).not.toContain(room);
    expect(await ben.error('invitation:accept', { room })).toMatchObject({ code: 'not_found' });
    await ann.ok('invitation:create', { room, user: 'ben' });
    await ann.ok('room:invite', { room, user: 'ben' });
    expect((await ann.ok('invitation:list', { room })).invitations).toEqual([]);
  });

  it('is cancelled by owners and admins, and by members only if they sent it', async () => {
    const room = await annsRoom('channel');
    await ben.ok('room:join', { room });
    await ann.ok('invitation:create', { room, user: 'cid' });
    await ben.ok('invitation:create', { room, user: 'dora' });
    expect(await ben.error('invitation:create', { room, user: 'eve', role: 'admin' })).toMatchObject({
      code: 'forbidden',
    });
    expect(await ben.error('invitation:cancel', { room, user: 'cid' })).toMatchObject({ code: 'not_found' });
    await ben.ok('invitation:cancel', { room, user: 'dora' });
    await ben.ok('invitation:create', { room, user: 'dora' });
    await ann.ok('invitation:cancel', { room, user: 'dora' });
    // nor does inviting again make it his: it is renewed
    await ann.ok('invitation:create', { room, user: 'fred', role: 'admin' });
    await server.database.sql`update invitations set expires_at = now() + interval '1 minute' where user_id = 'fred'`;
    const { invitation } = await ben.ok('invitation:create', { room, user: 'fred' });
    expect(invitation).toMatchObject({ user: 'fred', role: 'admin', by: 'ann' });
    expect(invitation.expires - invitation.at).toBeGreaterThan((limits.invitationDays - 1) * 86_400_000);
    expect(await ben.error('invitation:cancel', { room, user: 'fred' })).toMatchObject({ code: 'not_found' });
  });

  it('comes page by page, in the order of rooms or of users', async () => {
    const room = await annsRoom();
    for (const user of ['p-3', 'p-1', 'p-2']) await ann.ok('invitation:create', { room, user });
    const first = await ann.ok('invitation:list', { room, limit: 2 });
    expect(first).toMatchObject({ invitations: [{ user: 'p-1' }, { user: 'p-2' }], after: 'p-2', more: true });
    const second = await ann.ok('invitation:list', { room, limit: 2, after: 'p-2' });
    expect(second).toMatchObject({ invitations: [{ user: 'p-3' }], more: false });
    const paul = await connect('paul');
    const [one, two] = [await annsRoom(), await annsRoom()].sort() as [string, string];
    for (const id of [two, one]) await ann.ok('invitation:create', { room: id, user: 'paul' });
    const mine = await paul.ok('invitation:list', { limit: 1 });
    expect(mine).toMatchObject({ invitations: [{ room: one }], after: one, more: true });
    expect(await paul.ok('invitation:list', { limit: 1, after: one })).toMatchObject({
      invitations: [{ room: two }],
      more: false,
    });
  });

  it('is one of so many of a room, and of a user', async () => {
    const { sql } = server.database;
    const room = await annsRoom();
    await sql`
      insert into invitations (room_id, user_id, role, invited_by, expires_at)
      select ${room}, 'waiting-' || n, 'member', 'ann', now() + interval '1 day'
      from generate_series(1, ${limits.roomInvitations - 1}) n`;
    await ann.ok('invitation:create', { room, user: 'last' });
    expect(await ann.error('invitation:create', { room, user: 'one-more' })).toMatchObject({ code: 'limit_reached' });
    await ann.ok('invitation:create', { room, user: 'last' });
    const other = await annsRoom();
    await sql`
      insert into rooms (id, kind, created_by) select 'many-' || n, 'group', 'ann' from generate_series(1, 200) n`;
    await sql`
      insert into invitations (room_id, user_id, role, invited_by, expires_at)
      select 'many-' || n, 'popular', 'member', 'ann', now() + interval '1 day'
      from generate_series(1, ${limits.userInvitations - 1}) n`;
    await ann.ok('invitation:create', { room: other, user: 'popular' });
    const third = await annsRoom();
    expect(await ann.error('invitation:create', { room: third, user: 'popular' })).toMatchObject({
      code: 'limit_reached',
    });
  });

  it('cannot be accepted into a full room, and stays', async () => {
    const room = await annsRoom();
    await ann.ok('invitation:create', { room, user: 'ben' });
    for (const user of ['dora', 'eve']) await ann.ok('room:invite', { room, user });
    expect(await ben.error('invitation:accept', { room })).toMatchObject({ code: 'limit_reached' });
    await ann.ok('room:remove', { room, user: 'eve' });
    await ben.ok('invitation:accept', { room });
  });
});

describe('a join link', () => {
  it('brings in who has its token, as often as it says; the token is not kept', async () => {
    const room = await annsRoom();
    const { link, token } = await ann.ok('link:create', { room, role: 'guest', maxUses: 1, seconds: 3600 });
    expect(link).toMatchObject({ room, role: 'guest', by: 'ann', maxUses: 1, uses: 0 });
    expect(link.expires).toBe(link.at + 3_600_000);
    expect((await ann.ok('link:list', { room })).links).toEqual([{ ...link, at: expect.any(Number) as number }]);
    const stored = await server.database.sql<{ row: string }[]>`select to_jsonb(l)::text as row from join_links l`;
    expect(JSON.stringify(stored)).not.toContain(token);
    expect(await ben.ok('link:join', { token })).toMatchObject({ room: { id: room, role: 'guest' } });
    expect(await ann.event('member', (m) => m.room === room && m.user === 'ben')).toMatchObject({
      change: 'joined',
      by: 'ann',
    });
    // it is used up, which is nothing to a member
    expect(await cid.error('link:join', { token })).toMatchObject({ code: 'not_found' });
    expect((await ann.ok('link:list', { room })).links).toEqual([]);
  });

  it('is not used by a member', async () => {
    const room = await annsRoom();
    const { token } = await ann.ok('link:create', { room, maxUses: 2 });
    expect((await ann.ok('link:join', { token })).room.role).toBe('owner');
    await ben.ok('link:join', { token });
    expect((await ann.ok('link:list', { room })).links).toMatchObject([{ uses: 1 }]);
    expect(
      ann.received('member').filter((m) => m.room === room && m.user === 'ann' && m.change === 'joined'),
    ).toHaveLength(1);
  });

  it('lets in no more than it says, however many come at once', async () => {
    const room = await annsRoom();
    const { token } = await ann.ok('link:create', { room, maxUses: 1 });
    const acks = await Promise.all(
      [ben, cid].map((client) => client.socket.emitWithAck('link:join', { token }) as Promise<{ ok: boolean }>),
    );
    expect(acks.filter(({ ok }) => ok)).toHaveLength(1);
  });

  it('works no more when it expired, was revoked, or its maker may make none', async () => {
    const room = await annsRoom();
    const { token: brief } = await ann.ok('link:create', { room, seconds: 1 });
    await until('it has expired', async () => (await ann.ok('link:list', { room })).links.length === 0);
    const none = { code: 'not_found', message: 'This link does not work, or not any more.' };
    expect(await ben.error('link:join', { token: brief })).toMatchObject(none);
    const { link, token } = await ann.ok('link:create', { room });
    await ann.ok('link:revoke', { room, id: link.id });
    expect(await ann.error('link:revoke', { room, id: link.id })).toMatchObject({ code: 'not_found' });
    expect(await ben.error('link:join', { token })).toMatchObject(none);
    await ann.ok('room:invite', { room, user: 'cid', role: 'admin' });
    const { token: ofCid } = await cid.ok('link:create', { room });
    await ann.ok('room:role', { room, user: 'cid', role: 'member' });
    expect(await ben.error('link:join', { token: ofCid })).toMatchObject(none);
    await ann.ok('room:role', { room, user: 'cid', role: 'admin' });
    await ben.ok('link:join', { token: ofCid });
    expect(await ben.error('link:join', { token: 'x'.repeat(32) })).toMatchObject(none);
    expect(await ben.error('link:join', { token: 'x' })).toMatchObject({ code: 'invalid' });
  });

  it('brings nobody into an archived or deleted room', async () => {
    const room = await annsRoom();
    const { token } = await ann.ok('link:create', { room });
    await ann.ok('room:archive', { room });
    expect(await ben.error('link:join', { token })).toMatchObject({
      code: 'forbidden',
      message: 'The room is archived.',
    });
    await ann.ok('room:delete', { room });
    expect(await ben.error('link:join', { token })).toMatchObject({ code: 'not_found' });
  });

  it('makes no admins, and has its limits', async () => {
    const room = await annsRoom();
    expect(await ann.error('link:create', { room, role: 'admin' })).toMatchObject({ code: 'invalid' });
    for (const [fits, passes] of [
      [{ maxUses: limits.linkUses }, { maxUses: limits.linkUses + 1 }],
      [{ seconds: limits.linkSeconds }, { seconds: limits.linkSeconds + 1 }],
    ]) {
      await ann.ok('link:create', { room, ...fits });
      expect(await ann.error('link:create', { room, ...passes })).toMatchObject({ code: 'invalid' });
    }
    for (let n = 2; n < limits.roomLinks; n++) await ann.ok('link:create', { room });
    expect(await ann.error('link:create', { room })).toMatchObject({ code: 'limit_reached' });
    const page = await ann.ok('link:list', { room, limit: 30 });
    expect(page).toMatchObject({ more: true });
    const rest = await ann.ok('link:list', { room, limit: 30, after: page.after ?? '' });
    expect(page.links.length + rest.links.length).toBe(limits.roomLinks);
    // one that is used up makes room
    await server.database.sql`
      update join_links set max_uses = 1, uses = 1 where room_id = ${room} and id = ${page.links[0]?.id ?? ''}`;
    await ann.ok('link:create', { room });
  });
});
