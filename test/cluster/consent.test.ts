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
  // neither sees the other, on any node
  await ann.event('presence', (one) => one.user === 'ben' && one.hidden === true);
  expect((await ann.ok('presence:get', { users: ['ben'] })).presence).toEqual({});
  expect((await ben.ok('presence:get', { users: ['ann'] })).presence).toEqual({});
  expect(await ann.ok('room:invite', { room: 'two', user: 'ben' })).toMatchObject({ invitation: { user: 'ben' } });
  const again = await cluster.connect(0, 'ben');
  for (const client of [ben, again]) expect((await client.ok('invitation:list', {})).invitations).toEqual([]);
  expect((await again.ok('user:blocks', {})).blocks).toMatchObject([{ user: 'ann' }]);
  await again.ok('user:unblock', { user: 'ann' });
  expect((await ben.ok('invitation:list', {})).invitations).toMatchObject([{ room: 'two', by: 'ann' }]);
});
