/** Nobody is in a room that they did not agree to: the default of PARLEY_ADDING, and what back ends may. */
import msgpackParser from 'socket.io-msgpack-parser';
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/protocol/limits.ts';
import { stage } from '../stage.ts';
import { createTestDatabase } from '../support/database.ts';
import { startServer, tokenOf } from '../support/server.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';

// an empty value is an unset one
const { server, people, connect } = await stage({ people: ['ann', 'ben', 'cid'], config: { PARLEY_ADDING: '' } });
const { ann, ben, cid } = people;
const backend = await connect('crm', { backend: true });
let rooms = 0;

async function roomOf(owner: StockClient, kind: 'group' | 'channel' = 'group'): Promise<string> {
  const room = `consent-${++rooms}`;
  await owner.ok('room:create', { kind, name: 'Room', id: room });
  return room;
}

const mentionsOf = async (client: StockClient, room: string): Promise<number[]> =>
  (await client.ok('mentions', { limit: 100 })).mentions
    .filter(({ message }) => message.room === room)
    .map(({ message }) => message.seq);

const unreadMentions = async (client: StockClient, room: string): Promise<number | undefined> =>
  (await client.ok('unread', {})).rooms.find((one) => one.room === room)?.mentions;

/** A mention by another user comes after all that was sent before; no mention of everybody came. @returns its seq. */
async function nothingMore(client: StockClient, room: string): Promise<number> {
  const user = client.received('ready')[0]?.user.id ?? '';
  const { seq } = await cid.ok('message:send', text(room, { text: `@${user} fence` }));
  await client.event('mention', (one) => one.room === room && one.seq === seq);
  const everybody = client.received('mention').filter((one) => one.room === room && one.everybody);
  expect(everybody).toEqual([]);
  return seq;
}

const invitationsTo = async (client: StockClient, room: string) =>
  (await client.ok('invitation:list', { limit: 100 })).invitations.filter((one) => one.room === room);

describe('room:invite', () => {
  it('invites a user, who is in the room only after they accepted', async () => {
    const room = await roomOf(ann);
    const answer = await ann.ok('room:invite', { room, user: 'ben', role: 'guest' });
    expect(answer).toMatchObject({ invitation: { room, user: 'ben', by: 'ann', role: 'guest' } });
    expect(answer.member).toBeUndefined();
    expect(await ben.event('invitation', (one) => one.room === room)).toMatchObject({ change: 'created', by: 'ann' });
    expect(await ben.error('history', { room })).toMatchObject({ code: 'not_found' });
    expect((await ben.ok('room:list', { limit: 100 })).rooms.map(({ id }) => id)).not.toContain(room);
    expect((await ann.ok('room:members', { room })).members.map(({ user }) => user)).toEqual(['ann']);
    expect((await ben.ok('invitation:accept', { room })).room.role).toBe('guest');
    // of a member it is the role
    expect(await ann.ok('room:invite', { room, user: 'ben', role: 'admin' })).toMatchObject({
      member: { user: 'ben', role: 'admin' },
    });
    expect(await ann.error('room:invite', { room, user: 'ann' })).toMatchObject({ code: 'invalid' });
  });

  it('cannot fill a user: invitations do not count as rooms', async () => {
    const config = { PARLEY_ADDING: 'consent', PARLEY_MAX_ROOMS_PER_USER: '2' };
    const { dan, eve, fay } = (await stage({ people: ['dan', 'eve', 'fay'], config })).people;
    for (const other of [eve, fay]) {
      for (let n = 0; n < 2; n++) await other.ok('room:invite', { room: await roomOf(other), user: 'dan' });
    }
    for (let n = 0; n < 2; n++) await roomOf(dan);
  });

  it('of a back end adds the user at once, as its role in the room allows', async () => {
    const room = await roomOf(backend);
    expect(await backend.ok('room:invite', { room, user: 'ben' })).toMatchObject({ member: { user: 'ben' } });
    await ben.event('member', (one) => one.room === room && one.change === 'joined');
    const other = await roomOf(ann);
    expect(await backend.error('room:invite', { room: other, user: 'ben' })).toMatchObject({ code: 'not_found' });
  });

  it('adds users where the installation says so', async () => {
    const { dan } = (await stage({ people: ['dan'], config: { PARLEY_ADDING: 'direct' } })).people;
    const room = await roomOf(dan);
    expect(await dan.ok('room:invite', { room, user: 'eve' })).toMatchObject({ member: { user: 'eve' } });
  });

  it('never adds a user who left: they are invited', async () => {
    const room = await roomOf(backend);
    await backend.ok('room:invite', { room, user: 'ben' });
    await ben.ok('room:leave', { room });
    expect(await backend.ok('room:invite', { room, user: 'ben' })).toMatchObject({ invitation: { user: 'ben' } });
    expect(await ben.error('history', { room })).toMatchObject({ code: 'not_found' });
    await ben.ok('invitation:accept', { room });
    // who was removed did not leave
    await backend.ok('room:remove', { room, user: 'ben' });
    expect(await backend.ok('room:invite', { room, user: 'ben' })).toMatchObject({ member: { user: 'ben' } });
  });
});

describe('an invitation', () => {
  it(`that was declined rests for ${limits.invitationRestDays} days, for every inviter`, async () => {
    const room = await roomOf(ann, 'channel');
    await cid.ok('room:join', { room });
    await ann.ok('invitation:create', { room, user: 'ben' });
    await ben.ok('invitation:decline', { room });
    for (const client of [ann, cid]) {
      for (const command of ['invitation:create', 'room:invite']) {
        expect(await client.error(command, { room, user: 'ben' })).toMatchObject({ code: 'limit_reached' });
      }
    }
    const { sql } = server.database;
    await sql`update invitation_rests set rests_until = rests_until - ${`${limits.invitationRestDays} days`}::text::interval + interval '1 minute'
      where room_id = ${room}`;
    await ann.error('invitation:create', { room, user: 'ben' });
    await sql`update invitation_rests set rests_until = rests_until - interval '1 minute' where room_id = ${room}`;
    const before = ben.received('invitation').length;
    await ann.ok('invitation:create', { room, user: 'ben' });
    await ben.event('invitation', (one) => ben.received('invitation').indexOf(one) >= before && one.room === room);
  });

  it('comes as an event once a day, however often it is made', async () => {
    const room = await roomOf(ann);
    for (let n = 0; n < 3; n++) {
      await ann.ok('invitation:create', { room, user: 'ben', role: n === 0 ? 'guest' : 'member' });
      await ann.ok('room:invite', { room, user: 'ben' });
      if (n < 2) await ann.ok('invitation:cancel', { room, user: 'ben' });
    }
    const last = await roomOf(ann);
    await ann.ok('invitation:create', { room: last, user: 'ben' });
    await ben.event('invitation', (one) => one.room === last);
    const created = ben.received('invitation').filter((one) => one.room === room && one.change === 'created');
    expect(created).toHaveLength(1);
    // it waits all the same
    expect(await invitationsTo(ben, room)).toMatchObject([{ role: 'member', by: 'ann' }]);
    await server.database.sql`update invitation_rests set rests_until = now() where room_id = ${room}`;
    await ann.ok('invitation:create', { room, user: 'ben' });
    await ben.event(
      'invitation',
      (one) => one === ben.received('invitation').filter((e) => e.room === room && e.change === 'created')[1],
    );
  });

  it('makes no user of an id that never connected', async () => {
    const room = await roomOf(ann);
    await ann.ok('invitation:create', { room, user: 'nobody-yet' });
    await ann.ok('room:invite', { room, user: 'nor-this-one' });
    expect(await server.database.sql`select id from users where id in ('nobody-yet', 'nor-this-one')`).toEqual([]);
    const late = await connect('nobody-yet');
    await late.ok('invitation:accept', { room });
  });
});

describe('a block', () => {
  it('is kept, listed page by page, and lifted', async () => {
    for (const user of ['zoe', 'never-here', 'ann']) await cid.ok('user:block', { user });
    await cid.ok('user:block', { user: 'zoe' });
    const first = await cid.ok('user:blocks', { limit: 2 });
    expect(first).toMatchObject({ blocks: [{ user: 'ann' }, { user: 'never-here' }], after: 'never-here', more: true });
    expect(await cid.ok('user:blocks', { after: 'never-here' })).toMatchObject({
      blocks: [{ user: 'zoe' }],
      more: false,
    });
    // nobody sees the list of another
    expect((await ann.ok('user:blocks', {})).blocks).toEqual([]);
    for (const user of ['zoe', 'never-here', 'ann', 'zoe']) await cid.ok('user:unblock', { user });
    expect(await cid.ok('user:blocks', {})).toEqual({ blocks: [], after: null, more: false });
    expect(await cid.error('user:block', { user: 'cid' })).toMatchObject({ code: 'invalid' });
  });

  it(`is one of ${limits.userBlocks} of a user`, async () => {
    const { sql } = server.database;
    await sql`insert into blocks (user_id, blocked_id) select 'cid', 'x-' || n from generate_series(1, ${limits.userBlocks - 1}::int) n`;
    await cid.ok('user:block', { user: 'last' });
    expect(await cid.error('user:block', { user: 'one-more' })).toMatchObject({ code: 'limit_reached' });
    await cid.ok('user:block', { user: 'last' });
    await cid.ok('user:unblock', { user: 'x-1' });
    await cid.ok('user:block', { user: 'one-more' });
    await sql`delete from blocks where user_id = 'cid'`;
  });

  it('hides invitations, also those made before, and the inviter sees no difference', async () => {
    const [early, late, free] = [await roomOf(ann), await roomOf(ann), await roomOf(ann)];
    await ann.ok('invitation:create', { room: early, user: 'ben' });
    await ben.ok('user:block', { user: 'ann' });
    for (const command of ['invitation:create', 'room:invite'] as const) {
      expect(await ann.ok(command, { room: late, user: 'ben' })).toMatchObject({
        invitation: { user: 'ben', by: 'ann' },
      });
    }
    expect((await ann.ok('invitation:list', { room: late })).invitations).toHaveLength(1);
    for (const room of [early, late]) {
      expect(await invitationsTo(ben, room)).toEqual([]);
      expect(await ben.error('invitation:accept', { room })).toMatchObject({ code: 'not_found' });
      expect(await ben.error('invitation:decline', { room })).toMatchObject({ code: 'not_found' });
    }
    expect(await ben.error('room:invite', { room: await roomOf(ben), user: 'ann' })).toMatchObject({
      code: 'forbidden',
    });
    // one by somebody else takes its place
    await ann.ok('invitation:create', { room: late, user: 'cid', role: 'admin' });
    await cid.ok('invitation:accept', { room: late });
    await cid.ok('invitation:create', { room: late, user: 'ben' });
    expect(await invitationsTo(ben, late)).toMatchObject([{ by: 'cid' }]);
    // and the blocked user cannot cancel it
    await ann.ok('invitation:create', { room: late, user: 'ben' });
    expect(await invitationsTo(ben, late)).toMatchObject([{ by: 'cid' }]);
    await ben.ok('user:unblock', { user: 'ann' });
    expect(await invitationsTo(ben, early)).toMatchObject([{ by: 'ann' }]);
    await ann.ok('invitation:create', { room: free, user: 'ben' });
    await ben.event('invitation', (one) => one.room === free);
    expect(ben.received('invitation').some((one) => one.room === late && one.by === 'ann')).toBe(false);
  });

  it('does not use up the invitations that a user may have', async () => {
    const { sql } = server.database;
    await sql`insert into rooms (id, kind, created_by) select 'flood-' || n, 'group', 'ann' from generate_series(1, ${limits.userInvitations}::int) n`;
    await sql`
      insert into invitations (room_id, user_id, role, invited_by, expires_at)
      select 'flood-' || n, 'flooded', 'member', 'ann', now() + interval '1 day' from generate_series(1, ${limits.userInvitations}::int) n`;
    const room = await roomOf(cid);
    expect(await cid.error('invitation:create', { room, user: 'flooded' })).toMatchObject({ code: 'limit_reached' });
    const flooded = await connect('flooded');
    await flooded.ok('user:block', { user: 'ann' });
    await cid.ok('invitation:create', { room, user: 'flooded' });
  });

  it('stops a back end from adding the user', async () => {
    const room = await roomOf(backend);
    await ben.ok('user:block', { user: 'crm' });
    expect(await backend.ok('room:invite', { room, user: 'ben' })).toMatchObject({ invitation: { user: 'ben' } });
    expect(await ben.error('history', { room })).toMatchObject({ code: 'not_found' });
    await ben.ok('user:unblock', { user: 'crm' });
  });

  it('stops mentions, of a message and of an edit', async () => {
    const room = await roomOf(ann, 'channel');
    for (const client of [ben, cid]) await client.ok('room:join', { room });
    await ben.ok('user:block', { user: 'ann' });
    const { seq } = await ann.ok('message:send', text(room, { text: '@ben @cid look' }));
    await cid.event('mention', (one) => one.room === room && one.seq === seq);
    const plain = await ann.ok('message:send', text(room, { text: 'nothing' }));
    await ann.ok('message:edit', { room, seq: plain.seq, body: { text: '@ben now' } });
    const all = await ann.ok('message:send', text(room, { text: '@room hear' }));
    await cid.event('mention', (one) => one.room === room && one.seq === all.seq);
    const { seq: last } = await cid.ok('message:send', text(room, { text: '@ben you' }));
    await ben.event('mention', (one) => one.room === room && one.seq === last);
    expect(ben.received('mention').filter((one) => one.room === room)).toHaveLength(1);
    expect(await mentionsOf(ben, room)).toEqual([last]);
    await ben.ok('user:unblock', { user: 'ann' });
    expect(await mentionsOf(ben, room)).toEqual([last, all.seq]);
  });

  it('stops the mention of everybody that the blocked user writes into the message of another', async () => {
    const room = await roomOf(ann, 'channel');
    for (const client of [ben, cid]) await client.ok('room:join', { room });
    await ben.ok('user:block', { user: 'ann' });
    const { seq } = await cid.ok('message:send', text(room, { text: 'of cid' }));
    await ann.ok('message:edit', { room, seq, body: { text: '@room of cid, by ann' } });
    await cid.event('mention', (one) => one.room === room && one.seq === seq);
    const fence = await nothingMore(ben, room);
    expect(await mentionsOf(ben, room)).toEqual([fence]);
    expect(await unreadMentions(ben, room)).toBe(1);
    await ben.ok('user:unblock', { user: 'ann' });
    expect(await mentionsOf(ben, room)).toEqual([fence, seq]);
  });

  it('leaves mentions out of the list and the counts of unread, also those from before, until it is lifted', async () => {
    const room = await roomOf(ann, 'channel');
    for (const client of [ben, cid]) await client.ok('room:join', { room });
    const early = await ann.ok('message:send', text(room, { text: '@ben before' }));
    await ben.ok('user:block', { user: 'ann' });
    const all = await ann.ok('message:send', text(room, { text: '@room while it lasts' }));
    await ann.ok('message:send', text(room, { text: '@ben while it lasts' }));
    const other = await cid.ok('message:send', text(room, { text: '@ben of cid' }));
    expect(await unreadMentions(ben, room)).toBe(1);
    expect(await unreadMentions(cid, room)).toBe(1);
    expect(await mentionsOf(ben, room)).toEqual([other.seq]);
    await ben.ok('user:unblock', { user: 'ann' });
    // the one by name was never made
    expect(await mentionsOf(ben, room)).toEqual([other.seq, all.seq, early.seq]);
    expect(await unreadMentions(ben, room)).toBe(3);
  });

  it('keeps the mention of everybody from each connection of the user, of either form, and from no other user', async () => {
    const room = await roomOf(ann, 'channel');
    const query = { query: { parser: 'msgpack' }, parser: msgpackParser };
    const [eve, packed, fay, polling] = [
      await connect('eve'),
      await connect('eve', query),
      await connect('fay', query),
      await connect('eve', { transports: ['polling'] }),
    ];
    for (const client of [cid, eve, fay]) await client.ok('room:join', { room });
    await eve.ok('user:block', { user: 'ann' });
    const { seq } = await ann.ok('message:send', text(room, { text: '@room all of you' }));
    for (const client of [ann, fay]) await client.event('mention', (one) => one.room === room && one.seq === seq);
    for (const client of [eve, packed, polling]) await nothingMore(client, room);
    // their subscriptions are as before
    const { seq: next } = await ann.ok('message:send', text(room, { text: 'for all' }));
    for (const client of [eve, packed, polling]) {
      await client.event('message', (one) => one.room === room && one.seq === next);
    }
  });

  it(`lets the event of a mention of everybody go out where ${limits.mentionBlockers} members block its sender, and no more`, async () => {
    const room = await roomOf(ann, 'channel');
    await cid.ok('room:join', { room });
    const { sql } = server.database;
    const blockAs = async (from: number, to: number): Promise<void> => {
      await sql`insert into users (id) select 'angry-' || n from generate_series(${from}::int, ${to}::int) n`;
      await sql`
        insert into members (room_id, user_id, role)
        select ${room}, 'angry-' || n, 'member' from generate_series(${from}::int, ${to}::int) n`;
      await sql`insert into blocks select 'angry-' || n, 'ann' from generate_series(${from}::int, ${to}::int) n`;
    };
    await blockAs(1, limits.mentionBlockers);
    const first = await ann.ok('message:send', text(room, { text: '@room one' }));
    await cid.event('mention', (one) => one.room === room && one.seq === first.seq);
    await blockAs(limits.mentionBlockers + 1, limits.mentionBlockers + 1);
    const second = await ann.ok('message:send', text(room, { text: '@room two' }));
    const last = await ann.ok('message:send', text(room, { text: '@cid three' }));
    await cid.event('mention', (one) => one.room === room && one.seq === last.seq);
    expect(cid.received('mention').filter((one) => one.room === room && one.seq === second.seq)).toEqual([]);
    expect(await mentionsOf(cid, room)).toEqual([last.seq, second.seq, first.seq]);
    await sql`delete from blocks where user_id like 'angry-%'`;
  });

  it('appears to the blocked user as an absence from that moment on, until the block is lifted', async () => {
    const room = await roomOf(ann, 'channel');
    const users = ['dora', 'gone'];
    const [dora, gone] = [await connect('dora'), await connect('gone')];
    for (const client of [dora, gone]) await client.ok('room:join', { room });
    expect((await ann.ok('presence:watch', { users })).presence).toEqual({
      dora: { online: true },
      gone: { online: true },
    });
    await dora.ok('presence:watch', { users: ['ann'] });
    const from = Date.now();
    gone.close();
    await dora.ok('user:block', { user: 'ann' });
    // within the time of a short absence, both still count as there
    expect((await ann.ok('presence:get', { users })).presence).toEqual({
      dora: { online: true },
      gone: { online: true },
    });
    await dora.event('presence', (one) => one.user === 'ann' && one.hidden === true);
    const received = await Promise.all(users.map((user) => ann.event('presence', (one) => one.user === user)));
    const lastSeen = expect.any(Number) as number;
    expect(received).toEqual(users.map((user) => ({ user, online: false, lastSeen })));
    const moments = received.map((one) => one.lastSeen ?? 0);
    for (const at of moments) expect(Math.abs(at - from)).toBeLessThan(5000);
    const absent = Object.fromEntries(
      received.map(({ user, online, lastSeen: at }) => [user, { online, lastSeen: at }]),
    );
    for (const command of ['presence:get', 'presence:watch'] as const) {
      expect((await ann.ok(command, { users })).presence).toEqual(absent);
    }
    const fresh = await connect('ann');
    expect((await fresh.ok('presence:watch', { users })).presence).toEqual(absent);
    // the user who blocks knows of it
    expect((await dora.ok('presence:get', { users: ['ann', 'cid'] })).presence).not.toHaveProperty('ann');
    expect((await dora.ok('presence:watch', { users: ['ann'] })).presence).toEqual({});
    // coming and going is no news for the blocked user
    const again = await connect('dora');
    dora.close();
    await again.ok('user:unblock', { user: 'ann' });
    const back = await connect('gone');
    for (const client of [ann, fresh]) {
      for (const user of users) await client.event('presence', (one) => one.user === user && one.online);
      expect(client.received('presence').filter(({ user, hidden }) => users.includes(user) && hidden === true)).toEqual(
        [],
      );
      expect(client.received('presence').filter(({ user }) => user === 'dora')).toHaveLength(client === ann ? 2 : 1);
    }
    // a watch of a blocked user ends as any other, with the last shared room
    await again.ok('user:block', { user: 'ann' });
    for (const client of [again, back]) await client.ok('room:leave', { room });
    for (const user of users) await ann.event('presence', (one) => one.user === user && one.hidden === true);
  }, 60_000);

  it('outlives a restart, and its user', async () => {
    const database = await createTestDatabase();
    const first = await startServer({}, database);
    const dan = await connectStock(first.url, await tokenOf('dan'));
    await dan.ok('user:block', { user: 'ann' });
    dan.close();
    await first.stop();
    const second = await startServer({ PARLEY_ADDING: 'consent' }, database);
    const [back, eve] = [
      await connectStock(second.url, await tokenOf('dan')),
      await connectStock(second.url, await tokenOf('ann')),
    ];
    expect((await back.ok('user:blocks', {})).blocks).toMatchObject([{ user: 'ann' }]);
    const room = await roomOf(eve);
    await eve.ok('room:invite', { room, user: 'dan' });
    expect(await invitationsTo(back, room)).toEqual([]);
    for (const client of [back, eve]) client.close();
    await second.stop();
    await database.drop();
  });
});
