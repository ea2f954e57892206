/** Direct rooms: the other user is invited, either may leave, and a block ends them. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/protocol/limits.ts';
import { stage } from '../stage.ts';
import { text, type StockClient } from '../support/stock-client.ts';

const { server, connect } = await stage({ config: { PARLEY_ADDING: 'consent', PARLEY_MAX_ROOMS_PER_USER: '3' } });
let pairs = 0;

/** Two users of their own, and the direct room that the first one opens. */
async function opened() {
  const n = ++pairs;
  const [ann, ben] = [`ann-${n}`, `ben-${n}`];
  const [a, b] = [await connect(ann), await connect(ben)];
  const { room } = await a.ok('room:create', { kind: 'direct', user: ben });
  return { ann, ben, a, b, id: room.id, room };
}

const listed = async (client: StockClient, id: string) =>
  (await client.ok('room:list', { limit: 100 })).rooms.find((one) => one.id === id);
const invited = async (client: StockClient, id: string) =>
  (await client.ok('invitation:list', { limit: 100 })).invitations.filter((one) => one.room === id);

describe('a direct room', () => {
  it('has only who opened it until the other one accepts; name and presence are not seen before', async () => {
    const { ann, ben, a, b, id, room } = await opened();
    expect(room).toMatchObject({ kind: 'direct', role: 'member', peer: { id: ben, name: null } });
    expect(await b.event('invitation', (one) => one.room === id)).toMatchObject({
      change: 'created',
      by: ann,
      invitation: { kind: 'direct', byName: ann.toUpperCase() },
    });
    await a.ok('message:send', text(id, 'hello'));
    expect((await a.ok('room:members', { room: id })).members.map(({ user }) => user)).toEqual([ann]);
    expect((await a.ok('presence:get', { users: [ben] })).presence).toEqual({});
    expect(await listed(b, id)).toBeUndefined();
    expect(await b.error('history', { room: id })).toMatchObject({ code: 'not_found' });
    expect(b.received('message')).toEqual([]);
    const { room: mine } = await b.ok('invitation:accept', { room: id });
    expect(mine.peer).toEqual({ id: ann, name: ann.toUpperCase() });
    await a.event('member', (one) => one.room === id && one.user === ben && one.change === 'joined');
    expect((await listed(a, id))?.peer).toEqual({ id: ben, name: ben.toUpperCase() });
    expect((await a.ok('presence:get', { users: [ben] })).presence).toEqual({ [ben]: { online: true } });
    expect((await b.ok('history', { room: id })).messages).toMatchObject([{ body: 'hello' }]);
  });

  it('is answered as well by opening it from the other side', async () => {
    const { ann, b, id } = await opened();
    const { room, created } = await b.ok('room:create', { kind: 'direct', user: ann });
    expect([room.id, room.peer, created]).toEqual([id, { id: ann, name: ann.toUpperCase() }, false]);
    expect(await invited(b, id)).toEqual([]);
  });

  it('makes no user of an id that never connected, who finds the invitation when they come', async () => {
    const a = await connect('early');
    const { room } = await a.ok('room:create', { kind: 'direct', user: 'much-later' });
    expect(room.peer).toEqual({ id: 'much-later', name: null });
    expect(await server.database.sql`select id from users where id = 'much-later'`).toEqual([]);
    const b = await connect('much-later');
    expect(await invited(b, room.id)).toHaveLength(1);
  });

  it('that was declined invites no user again for a while, and its opener sees no difference', async () => {
    const { ben, a, b, id } = await opened();
    await b.ok('invitation:decline', { room: id });
    expect(await a.ok('room:create', { kind: 'direct', user: ben })).toMatchObject({ created: false, room: { id } });
    expect(await invited(b, id)).toEqual([]);
    await server.database.sql`update invitation_rests set rests_until = now() where room_id = ${id}`;
    await a.ok('room:create', { kind: 'direct', user: ben });
    expect(await invited(b, id)).toHaveLength(1);
  });

  it('is left by either side; only an invitation or they themselves bring them back', async () => {
    const { ann, ben, a, b, id } = await opened();
    await b.ok('invitation:accept', { room: id });
    await b.ok('room:leave', { room: id });
    expect(await a.event('member', (one) => one.room === id && one.change === 'left')).toMatchObject({ user: ben });
    expect(await listed(b, id)).toBeUndefined();
    // the one who stays keeps what was said, and the name
    expect((await listed(a, id))?.peer).toEqual({ id: ben, name: ben.toUpperCase() });
    const received = b.received('message').length;
    await a.ok('message:send', text(id, 'are you there?'));
    await a.ok('room:create', { kind: 'direct', user: ben });
    expect(await b.error('history', { room: id })).toMatchObject({ code: 'not_found' });
    expect(b.received('message')).toHaveLength(received);
    expect(await invited(b, id)).toHaveLength(1);
    await b.ok('invitation:accept', { room: id });
    expect((await b.ok('history', { room: id })).messages).toHaveLength(1);
    // the opener too
    await a.ok('room:leave', { room: id });
    expect(await a.ok('room:create', { kind: 'direct', user: ben })).toMatchObject({ created: false, room: { id } });
    // both
    await a.ok('room:leave', { room: id });
    await b.ok('room:leave', { room: id });
    expect(await b.ok('room:create', { kind: 'direct', user: ann })).toMatchObject({ created: false, room: { id } });
    expect(await invited(a, id)).toHaveLength(1);
  });

  it('counts for its opener, at the limit and one beyond, and not for the other user', async () => {
    const a = await connect('opener');
    const b = await connect('popular');
    const others = [await connect('o-1'), await connect('o-2'), await connect('o-3')];
    for (const other of others) {
      const { room } = await other.ok('room:create', { kind: 'direct', user: 'popular' });
      await b.ok('invitation:accept', { room: room.id });
    }
    for (let n = 0; n < 3; n++) await b.ok('room:create', { kind: 'group', name: 'mine' });
    expect(await b.error('room:create', { kind: 'group', name: 'mine' })).toMatchObject({ code: 'limit_reached' });
    for (const user of ['p-1', 'p-2', 'p-3']) {
      const { room } = await a.ok('room:create', { kind: 'direct', user });
      // leaving it does not free its place
      await a.ok('room:leave', { room: room.id });
    }
    expect(await a.error('room:create', { kind: 'direct', user: 'p-4' })).toMatchObject({ code: 'limit_reached' });
    await a.ok('room:create', { kind: 'direct', user: 'p-3' });
    // as many as others opened have a limit of their own
    const fourth = await connect('o-4');
    const { room } = await fourth.ok('room:create', { kind: 'direct', user: 'popular' });
    expect(await b.error('invitation:accept', { room: room.id })).toMatchObject({ code: 'limit_reached' });
  });

  it('of a back end has the other user at once, unless they left or blocked it', async () => {
    const bot = await connect('bot', { backend: true });
    const b = await connect('customer');
    const { room } = await bot.ok('room:create', { kind: 'direct', user: 'customer' });
    expect(await b.event('member', (one) => one.room === room.id)).toMatchObject({ change: 'joined', by: 'bot' });
    await b.ok('room:leave', { room: room.id });
    await bot.ok('room:create', { kind: 'direct', user: 'customer' });
    expect(await listed(b, room.id)).toBeUndefined();
    expect(await invited(b, room.id)).toHaveLength(1);
    const shy = await connect('shy');
    await shy.ok('user:block', { user: 'bot' });
    const { room: other } = await bot.ok('room:create', { kind: 'direct', user: 'shy' });
    expect([await listed(shy, other.id), await invited(shy, other.id)]).toEqual([undefined, []]);
  });
});

describe('a block', () => {
  it('leaves the direct room as any leave does, and invites no more', async () => {
    const { ann, ben, a, b, id } = await opened();
    await b.ok('invitation:accept', { room: id });
    await b.ok('user:block', { user: ann });
    expect(await a.event('member', (one) => one.room === id && one.user === ben && one.role === null)).toMatchObject({
      change: 'left',
      by: ben,
    });
    expect(await listed(b, id)).toBeUndefined();
    const received = b.received('message').length;
    await a.ok('message:send', text(id, 'hello?'));
    await a.ok('room:create', { kind: 'direct', user: ben });
    expect(await invited(b, id)).toEqual([]);
    expect(b.received('message')).toHaveLength(received);
    expect(await b.error('room:create', { kind: 'direct', user: ann })).toMatchObject({ code: 'forbidden' });
    await b.ok('user:unblock', { user: ann });
    expect(await b.ok('room:create', { kind: 'direct', user: ann })).toMatchObject({ created: false, room: { id } });
  });

  it('gives a blocked user the usual answers of opening a direct room', async () => {
    const a = await connect('nosy');
    const [b, c] = [await connect('blocker'), await connect('neutral')];
    await b.ok('user:block', { user: 'nosy' });
    const answers = [];
    for (const user of ['blocker', 'neutral']) {
      const made = await a.ok('room:create', { kind: 'direct', user });
      const { id, peer, ...rest } = made.room;
      const members = (await a.ok('room:members', { room: id })).members.map((one) => one.user);
      const sent = await a.ok('message:send', text(id, 'hi'));
      const again = await a.ok('room:create', { kind: 'direct', user });
      answers.push([made.created, peer?.name, rest, members, sent.seq, again.created]);
    }
    expect(answers[0]).toEqual(answers[1]);
    expect((await c.ok('invitation:list', {})).invitations).toHaveLength(1);
    expect((await b.ok('invitation:list', {})).invitations).toEqual([]);
  });

  it('made while the room is opened leaves nobody in it', async () => {
    for (let n = 0; n < 10; n++) {
      const [bot, b] = [await connect(`racer-${n}`, { backend: true }), await connect(`blocks-${n}`)];
      const [made] = await Promise.all([
        bot.ok('room:create', { kind: 'direct', user: `blocks-${n}` }),
        b.ok('user:block', { user: `racer-${n}` }),
      ]);
      expect(await listed(b, made.room.id)).toBeUndefined();
    }
  });
});

it(`${limits.userInvitations} invitations that wait let no more come, which the opener cannot see`, async () => {
  const { sql } = server.database;
  await sql`insert into rooms (id, kind, created_by) select 'w-' || n, 'group', 'x' from generate_series(1, ${limits.userInvitations}::int) n`;
  await sql`
    insert into invitations (room_id, user_id, role, invited_by, expires_at)
    select 'w-' || n, 'full', 'member', 'x', now() + interval '1 day' from generate_series(1, ${limits.userInvitations}::int) n`;
  const [a, b] = [await connect('late-one'), await connect('full')];
  const { room } = await a.ok('room:create', { kind: 'direct', user: 'full' });
  expect(await invited(b, room.id)).toEqual([]);
  await sql`delete from invitations where room_id = 'w-1'`;
  await a.ok('room:create', { kind: 'direct', user: 'full' });
  expect(await sql`select room_id from invitations where room_id = ${room.id}`).toHaveLength(1);
});
