/**
 * A node that starts after a change of membership gets no row of it, and so has no version of it. An earlier change of the
 * same membership may still be on its way to that node.
 */
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, inject, it } from 'vitest';
import { startCluster, type Cluster } from '../support/cluster.ts';
import { text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

const member = { room: 'hall', user: 'member' };

let cluster: Cluster;
let owner: StockClient;
let redis: Redis;
let listener: Redis;
/** Messages of node 0 about users, as other nodes got them. */
let published: Buffer[];
beforeEach(async () => {
  cluster = await startCluster(1);
  [redis, listener] = [new Redis(inject('redisUrl')), new Redis(inject('redisUrl'))];
  published = [];
  listener.on('messageBuffer', (_channel: Buffer, message: Buffer) => published.push(message));
  await listener.subscribe(`${cluster.prefix}user`);
  owner = await cluster.connect(0, 'owner');
  for (const id of ['hall', 'other']) await owner.ok('room:create', { kind: 'group', name: id, id });
  await owner.ok('room:invite', { room: 'other', user: 'member', role: 'member' });
});
afterEach(async () => {
  redis.disconnect();
  listener.disconnect();
  await cluster?.stop();
});

/** Runs a command of the owner. @returns the messages of its change */
async function messagesOf(command: 'room:invite' | 'room:remove'): Promise<Buffer[]> {
  const from = published.length;
  await owner.ok(command, command === 'room:invite' ? { ...member, role: 'member' } : member);
  await until('the messages of the change come', () => published.length > from);
  // the messages of a later command come after these
  await owner.ok('room:invite', { room: 'other', user: `fence-${from}`, role: 'member' });
  await until('the fence comes', () => published.some((one) => one.includes(`fence-${from}`)));
  return published.slice(from).filter((one) => !one.includes(`fence-${from}`));
}

/** The messages come once more to the new node, late; then all events of before come. */
async function deliverLate(client: StockClient, messages: readonly Buffer[]): Promise<void> {
  expect(messages.length).toBeGreaterThan(0);
  for (const one of messages) await redis.publish(`${cluster.prefix}user`, one);
  await owner.ok('message:send', text('hall', 'for members'));
  const { seq } = await owner.ok('message:send', text('other', 'fence'));
  await client.event('message', (message) => message.room === 'other' && message.seq === seq);
}

it('a late join does not bring a removed user back on a node that started after the removal', async () => {
  const joined = await messagesOf('room:invite');
  await owner.ok('room:remove', member);
  await cluster.grow();
  const client = await cluster.connect(1, 'member');
  await deliverLate(client, joined);
  expect(client.received('message').map(({ room }) => room)).toEqual(['other']);
  expect(await client.error('signal', { room: 'hall', name: 'typing' })).toMatchObject({ code: 'not_member' });
  // a new invitation counts at once
  await owner.ok('room:invite', { ...member, role: 'member' });
  await until('the member is back', () => client.received('member').some(({ change }) => change === 'joined'));
  await client.ok('signal', { room: 'hall', name: 'typing' });
});

it('a late removal does not remove a user who joined again before the node started', async () => {
  await messagesOf('room:invite');
  const removed = await messagesOf('room:remove');
  await owner.ok('room:invite', { ...member, role: 'member' });
  await cluster.grow();
  const client = await cluster.connect(1, 'member');
  await deliverLate(client, removed);
  expect(client.received('message').map(({ room }) => room)).toEqual(['hall', 'other']);
  await client.ok('signal', { room: 'hall', name: 'typing' });
});
