import { describe, expect, it } from 'vitest';
import { stage } from '../stage.ts';
import { text } from '../support/stock-client.ts';

const { people } = await stage({ people: ['ann', 'ben', 'cid'] });
const { ann, ben, cid } = people;

describe('channels', () => {
  it('are open to everybody, and publish joins and leaves', async () => {
    const { room, created } = await ann.ok('room:create', { kind: 'channel', name: 'News', id: 'news' });
    expect({ room, created }).toEqual({
      room: { id: 'news', kind: 'channel', name: 'News', role: 'owner', seq: 0, rev: 0, read: 0 },
      created: true,
    });
    expect(await ben.error('message:send', text('news', 'x'))).toMatchObject({ code: 'not_member' });
    expect(await ben.error('history', { room: 'news' })).toMatchObject({ code: 'not_member' });
    expect((await ben.ok('room:join', { room: 'news' })).room).toMatchObject({ role: 'member' });
    const joined = { room: 'news', user: 'ben', name: 'BEN', role: 'member', change: 'joined', by: 'ben' };
    expect(await ann.event('member', (m) => m.user === 'ben')).toEqual(joined);
    const own = await ben.event('member', (m) => m.room === 'news');
    expect(own).toMatchObject({ ...joined, summary: { id: 'news', role: 'member' } });
    expect(ben.received('member').filter((m) => m.room === 'news')).toHaveLength(1);

    await ben.ok('room:leave', { room: 'news' });
    const left = { ...joined, role: null, change: 'left' };
    expect(await ann.event('member', (m) => m.change === 'left')).toEqual(left);
    expect(await ben.event('member', (m) => m.change === 'left')).toEqual(left);
    await ann.ok('message:send', text('news', 'behind his back'));
    await ann.event('message', (m) => m.room === 'news');
    expect(await ben.error('room:leave', { room: 'news' })).toMatchObject({ code: 'not_member' });
    expect(ben.received('message')).toEqual([]);
  });

  it('publish nothing for a second join', async () => {
    await ann.ok('room:create', { kind: 'channel', name: 'Twice', id: 'twice' });
    await ben.ok('room:join', { room: 'twice' });
    await ben.ok('room:join', { room: 'twice' });
    await ann.ok('message:send', text('twice', 'fence'));
    await ann.event('message', (m) => m.room === 'twice');
    expect(ann.received('member').filter((m) => m.room === 'twice' && m.user === 'ben')).toHaveLength(1);
  });

  it('are given back to the user who makes them again, and to nobody else', async () => {
    await ann.ok('room:create', { kind: 'channel', name: 'One', id: 'one' });
    expect(await ann.ok('room:create', { kind: 'channel', name: 'Two', id: 'one' })).toMatchObject({
      created: false,
      room: { name: 'One' },
    });
    expect(await ben.error('room:create', { kind: 'channel', name: 'One', id: 'one' })).toMatchObject({
      code: 'conflict',
    });
    expect(await ann.error('room:create', { kind: 'group', name: 'One', id: 'one' })).toMatchObject({
      code: 'conflict',
    });
  });

  it('are listed in id order, page by page', async () => {
    for (const id of ['list-b', 'list-a', 'list-c']) await cid.ok('room:create', { kind: 'channel', name: id, id });
    const first = await cid.ok('room:list', { limit: 2, after: 'list' });
    expect(first).toMatchObject({ rooms: [{ id: 'list-a' }, { id: 'list-b' }], after: 'list-b', more: true });
    const second = await cid.ok('room:list', { limit: 2, after: first.after ?? '' });
    expect(second).toMatchObject({ rooms: [{ id: 'list-c', role: 'owner' }], after: 'list-c', more: false });
    const open = await ben.ok('room:list', { scope: 'open', after: 'list', limit: 3 });
    expect(open.rooms.map(({ id, role }) => [id, role])).toEqual([
      ['list-a', null],
      ['list-b', null],
      ['list-c', null],
    ]);
  });
});

describe('groups', () => {
  it('are invisible from outside and entered by invitation', async () => {
    await ann.ok('room:create', { kind: 'group', name: 'Board', id: 'board' });
    for (const [name, input] of [
      ['room:join', { room: 'board' }],
      ['history', { room: 'board' }],
      ['room:members', { room: 'board' }],
      ['room:leave', { room: 'board' }],
      ['room:invite', { room: 'board', user: 'cid' }],
      ['read', { room: 'board', seq: 1 }],
      ['message:send', text('board', 'x')],
    ] as const) {
      expect([name, (await ben.error(name, input)).code]).toEqual([name, 'not_found']);
    }
    const invited = await ann.ok('room:invite', { room: 'board', user: 'ben' });
    expect(invited.member).toMatchObject({ user: 'ben', name: 'BEN', role: 'member' });
    expect(await ben.event('member', (m) => m.room === 'board')).toMatchObject({
      by: 'ann',
      change: 'joined',
      summary: { id: 'board', role: 'member' },
    });
    await ann.ok('message:send', text('board', 'welcome'));
    expect(await ben.event('message', (m) => m.room === 'board')).toMatchObject({ seq: 1, body: 'welcome' });
  });

  it('give rights by role', async () => {
    const room = 'roles';
    await ann.ok('room:create', { kind: 'group', name: 'Roles', id: room });
    await ann.ok('room:invite', { room, user: 'ben' });
    expect(await ben.error('room:invite', { room, user: 'cid' })).toMatchObject({ code: 'forbidden' });
    await ann.ok('room:invite', { room, user: 'ben', role: 'admin' });
    expect(await ben.event('member', (m) => m.room === room && m.change === 'role')).toMatchObject({ role: 'admin' });
    expect(await ben.error('room:invite', { room, user: 'cid', role: 'admin' })).toMatchObject({ code: 'forbidden' });
    expect(await ben.error('room:invite', { room, user: 'ann', role: 'member' })).toMatchObject({ code: 'forbidden' });
    expect(await ben.error('room:invite', { room, user: 'cid', role: 'owner' })).toMatchObject({ code: 'invalid' });
    expect(await ann.error('room:invite', { room, user: 'ann' })).toMatchObject({ code: 'invalid' });
    await ben.ok('room:invite', { room, user: 'cid', role: 'guest' });
    await ann.ok('message:send', text(room, 'for reading'));
    expect(await cid.event('message', (m) => m.room === room)).toMatchObject({ body: 'for reading' });
    expect(await cid.error('message:send', text(room, 'x'))).toMatchObject({ code: 'forbidden' });
    expect(await cid.ok('read', { room, seq: 1 })).toEqual({ seq: 1 });
    await ben.ok('room:invite', { room, user: 'cid', role: 'member' });
    await cid.event('member', (m) => m.room === room && m.change === 'role');
    await cid.ok('message:send', text(room, 'now I may'));
  });

  it('pass to the earliest member of the highest role when the last owner leaves', async () => {
    const room = 'heirs';
    await ann.ok('room:create', { kind: 'group', name: 'Heirs', id: room });
    await ann.ok('room:invite', { room, user: 'cid' });
    await ann.ok('room:invite', { room, user: 'ben', role: 'admin' });
    await ann.ok('room:leave', { room });
    const heir = { room, user: 'ben', role: 'owner', change: 'role' };
    expect(await cid.event('member', (m) => m.room === room && m.change === 'role')).toMatchObject(heir);
    await ben.ok('room:leave', { room });
    await cid.event('member', (m) => m.room === room && m.user === 'cid' && m.role === 'owner');
    const { members } = await cid.ok('room:members', { room });
    expect(members).toMatchObject([{ user: 'cid', role: 'owner' }]);
  });

  it('list their members in id order, page by page', async () => {
    const room = 'members';
    await ann.ok('room:create', { kind: 'group', name: 'Members', id: room });
    for (const user of ['zoe', 'bob', 'mia']) await ann.ok('room:invite', { room, user });
    const first = await ann.ok('room:members', { room, limit: 2 });
    expect(first).toMatchObject({
      members: [
        { user: 'ann', name: 'ANN', role: 'owner', read: 0 },
        { user: 'bob', name: null, role: 'member' },
      ],
      after: 'bob',
      more: true,
    });
    const second = await ann.ok('room:members', { room, limit: 2, after: 'bob' });
    expect(second).toMatchObject({ members: [{ user: 'mia' }, { user: 'zoe' }], more: false });
  });
});

describe('direct rooms', () => {
  it('are found or made by either of the two users', async () => {
    const made = await ann.ok('room:create', { kind: 'direct', user: 'ben' });
    expect(made).toMatchObject({ created: true, room: { kind: 'direct', role: 'member', name: null } });
    expect(made.room.peer).toEqual({ id: 'ben', name: 'BEN' });
    const found = await ben.ok('room:create', { kind: 'direct', user: 'ann' });
    expect(found).toMatchObject({ created: false, room: { id: made.room.id, peer: { id: 'ann', name: 'ANN' } } });
    await ann.ok('message:send', text(made.room.id, 'psst'));
    expect(await ben.event('message', (m) => m.room === made.room.id)).toMatchObject({ body: 'psst' });
  });

  it('may neither be joined nor be made with oneself', async () => {
    const { room } = await ann.ok('room:create', { kind: 'direct', user: 'ben' });
    expect(await ann.error('room:invite', { room: room.id, user: 'cid' })).toMatchObject({ code: 'forbidden' });
    expect(await cid.error('room:join', { room: room.id })).toMatchObject({ code: 'not_found' });
    expect(await ann.error('room:create', { kind: 'direct', user: 'ann' })).toMatchObject({ code: 'invalid' });
    const named = await ann.error('room:create', { kind: 'channel', name: 'X', id: 'direct:x' });
    expect(named).toMatchObject({ code: 'invalid' });
  });

  it('are one when both open it at the same time', async () => {
    const made = await Promise.all([
      ben.ok('room:create', { kind: 'direct', user: 'cid' }),
      cid.ok('room:create', { kind: 'direct', user: 'ben' }),
    ]);
    expect(made[0].room.id).toBe(made[1].room.id);
    expect(made.filter(({ created }) => created)).toHaveLength(1);
  });
});
