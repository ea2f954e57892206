/** Blocks and invitations of users on two nodes. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startCluster, type Cluster } from '../support/cluster.ts';

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster(2, { env: { PARLEY_ADDING: 'consent' } });
});
afterAll(() => cluster.stop());

it('an invitation reaches the other node, and a block there stops the next one', async () => {
  const ann = await cluster.connect(0, 'ann');
  const ben = await cluster.connect(1, 'ben');
  await ann.ok('room:create', { kind: 'group', name: 'One', id: 'one' });
  await ann.ok('room:create', { kind: 'group', name: 'Two', id: 'two' });
  await ann.ok('room:invite', { room: 'one', user: 'ben' });
  await ben.event('invitation', (one) => one.room === 'one' && one.change === 'created');
  await ben.ok('invitation:accept', { room: 'one' });
  await ann.event('member', (one) => one.room === 'one' && one.user === 'ben');
  await ann.ok('presence:watch', { users: ['ben'] });
  await ben.ok('user:block', { user: 'ann' });
  // the blocked user sees the other one go offline, on any node; the blocking user sees nothing
  const reported = await ann.event('presence', (one) => one.user === 'ben');
  expect(reported).toEqual({ user: 'ben', online: false, lastSeen: expect.any(Number) as number });
  expect((await ann.ok('presence:get', { users: ['ben'] })).presence).toEqual({
    ben: { online: false, lastSeen: reported.lastSeen },
  });
  expect((await ben.ok('presence:get', { users: ['ann'] })).presence).toEqual({});
  // a mention of everybody passes them by, on the other node
  await ann.ok('message:send', { room: 'one', id: crypto.randomUUID(), body: { text: '@room read' } });
  await ann.event('mention', (one) => one.room === 'one' && one.everybody);
  await ann.ok('message:send', { room: 'one', id: crypto.randomUUID(), body: { text: 'the fence' } });
  await ben.event('message', (one) => one.room === 'one' && one.seq === 2);
  expect(ben.received('mention')).toEqual([]);
  expect(await ann.ok('room:invite', { room: 'two', user: 'ben' })).toMatchObject({ invitation: { user: 'ben' } });
  const again = await cluster.connect(0, 'ben');
  for (const client of [ben, again]) expect((await client.ok('invitation:list', {})).invitations).toEqual([]);
  expect((await again.ok('user:blocks', {})).blocks).toMatchObject([{ user: 'ann' }]);
  await again.ok('user:unblock', { user: 'ann' });
  expect((await ben.ok('invitation:list', {})).invitations).toMatchObject([{ room: 'two', by: 'ann' }]);
  await ann.event('presence', (one) => one.user === 'ben' && one.online);
});

it('a direct room is requested, left and blocked from any node', async () => {
  const cid = await cluster.connect(0, 'cid');
  const dora = await cluster.connect(1, 'dora');
  const { room } = await cid.ok('room:create', { kind: 'direct', user: 'dora' });
  await dora.event('invitation', (one) => one.room === room.id);
  await dora.ok('invitation:accept', { room: room.id });
  await cid.event('member', (one) => one.room === room.id && one.user === 'dora' && one.change === 'joined');
  await dora.ok('user:block', { user: 'cid' });
  await cid.event('member', (one) => one.room === room.id && one.user === 'dora' && one.role === null);
  const again = await cluster.connect(0, 'dora');
  await cid.ok('message:send', { room: room.id, id: crypto.randomUUID(), body: 'still there?' });
  await cid.ok('room:create', { kind: 'direct', user: 'dora' });
  for (const client of [dora, again]) {
    expect(await client.error('history', { room: room.id })).toMatchObject({ code: 'not_found' });
    expect((await client.ok('invitation:list', {})).invitations).toEqual([]);
    expect(client.received('message')).toEqual([]);
  }
});
