/**
 * After a removal is acknowledged nobody on any node delivers to, answers or accepts from the removed user, whatever
 * Redis does. In its short form, which CI runs, eight removals for each fault; PARLEY_REMOVALS sets another number.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { encodeEnvelopes } from '../../src/fanout/envelope-codec.ts';
import { startCluster, type Cluster } from '../support/cluster.ts';
import { startOwnRedis, type OwnService } from '../support/services.ts';
import { text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

const removals = Number(process.env.PARLEY_REMOVALS ?? 8);
const longMs = 60_000 + removals * 5000;

let cluster: Cluster;
let redis: OwnService;
let stopSending: () => Promise<void> = () => Promise.resolve();
afterEach(async () => {
  await stopSending();
  void redis.kill('SIGCONT');
  await cluster.stop();
  await redis.stop();
});

/** The owner is on node 0, the sender and the members are on node 1, another sender is on node 2. */
interface Scene {
  readonly owner: StockClient;
  readonly members: readonly StockClient[];
  /** A member on the node of the members, who stays. */
  readonly near: StockClient;
}

async function scene(members: readonly string[]): Promise<Scene> {
  redis = await startOwnRedis();
  // the senders go as fast as the machine lets them
  const env = {
    PARLEY_COMMANDS_PER_SECOND: '100000',
    PARLEY_COMMAND_BURST: '100000',
    PARLEY_SIGNALS_PER_SECOND: '100000',
    PARLEY_SIGNAL_BURST: '100000',
  };
  cluster = await startCluster(3, { redisUrl: redis.url, env });
  const owner = await cluster.connect(0, 'owner');
  await owner.ok('room:create', { kind: 'group', name: 'Hall', id: 'hall' });
  const senders = [await cluster.connect(1, 'near'), await cluster.connect(2, 'far')];
  const clients: StockClient[] = [];
  for (const user of members) clients.push(await cluster.connect(1, user));
  for (const user of ['near', 'far', ...members]) await owner.ok('room:invite', { room: 'hall', user, role: 'member' });
  for (const client of [...senders, ...clients]) await client.event('member', ({ summary }) => summary !== undefined);
  sendAlways(senders);
  await until('messages come', () => clients.every((client) => client.received('message').length > 0));
  return { owner, members: clients, near: senders[0] as StockClient };
}

/**
 * A message to the room crosses to the node of the members, also by backfill of that node. Then each client gets an answer
 * behind all earlier writes.
 */
async function fence(
  owner: StockClient,
  near: StockClient,
  room: string,
  clients: readonly StockClient[],
): Promise<void> {
  const { seq } = await owner.ok('message:send', text(room, 'fence'));
  await near.event('message', (message) => message.room === room && message.seq === seq);
  for (const client of clients) await client.ok('presence:unwatch', {});
}

/** A message about each 5 ms, a signal and a mention now and then. */
function sendAlways(senders: readonly StockClient[]): void {
  let going = true;
  const runs = senders.map(async (sender) => {
    for (let n = 0; going; n++) {
      await sender.ok('message:send', text('hall', `${n}`));
      if (n % 5 === 0) await sender.ok('signal', { room: 'hall', name: 'typing' });
      if (n % 7 === 0) await sender.ok('message:send', text('hall', `@room ${n}`));
      await delay(5);
    }
  });
  stopSending = async () => {
    going = false;
    stopSending = () => Promise.resolve();
    await Promise.all(runs);
  };
}

/** Events that the client gets from now on, without those that say that its membership has ended. */
function leaksOf(client: StockClient, user: string): string[] {
  const from = client.events.length;
  const leaks: string[] = [];
  client.socket.onAny((name: string, data: { user?: string; change?: string }) => {
    const isEnd = name === 'member' && data.user === user && data.change !== 'role';
    if (!isEnd) leaks.push(`${name} ${JSON.stringify(data)}`);
  });
  expect(client.events.length).toBe(from);
  return leaks;
}

async function pull(client: StockClient): Promise<readonly string[]> {
  const { rooms } = await client.ok('sync', { cursors: { hall: 0 } });
  return Object.keys(rooms);
}

const faults = {
  hung: async (): Promise<void> => void redis.kill('SIGSTOP'),
  killed: async (): Promise<void> => void redis.kill('SIGKILL'),
  'without its Pub/Sub connections': async (): Promise<void> => {
    const { Redis } = await import('ioredis');
    const admin = new Redis(redis.url);
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    admin.disconnect();
  },
  healthy: () => Promise.resolve(),
} as const;

it.each(Object.keys(faults) as (keyof typeof faults)[])(
  'with Redis %s, no removed user receives, pulls or signals',
  async (fault) => {
    const users = Array.from({ length: removals }, (_, i) => `member-${i}`);
    const { owner, members, near } = await scene(users);
    const found: string[] = [];
    const all: string[][] = [];
    for (const [i, user] of users.entries()) {
      const member = members[i] as StockClient;
      if (i === 0 || fault.startsWith('without')) await faults[fault]();
      const from = performance.now();
      await owner.ok('room:remove', { room: 'hall', user });
      expect(performance.now() - from).toBeLessThan(10_000);
      all.push(leaksOf(member, user));
      for (let n = 0; n < 3; n++) {
        if ((await pull(member)).length > 0) found.push(`${user} pulled`);
        const { code } = await member.error('signal', { room: 'hall', name: 'typing' });
        expect(['not_member', 'unavailable']).toContain(code);
      }
    }
    // other members are served meanwhile
    await stopSending();
    await fence(owner, near, 'hall', members);
    expect([...found, ...all.flat()]).toEqual([]);
  },
  longMs,
);

it(
  'with Redis hung, the same holds for each other way in which a right ends',
  async () => {
    const users = ['banned', 'leaving', 'guest', 'muted', 'revoked', 'last'];
    const { owner, members, near } = await scene(users);
    await owner.ok('room:create', { kind: 'channel', name: 'Other', id: 'other' });
    await near.ok('room:join', { room: 'other' });
    const [banned, leaving, guest, muted, revoked, last] = members as [
      StockClient,
      StockClient,
      StockClient,
      StockClient,
      StockClient,
      StockClient,
    ];
    const revoked0 = await cluster.connect(0, 'revoked');
    const leaving2 = await cluster.connect(2, 'leaving');
    const signal = { room: 'hall', name: 'typing' };
    void redis.kill('SIGSTOP');

    await owner.ok('room:ban', { room: 'hall', user: 'banned' });
    const ofBanned = leaksOf(banned, 'banned');
    expect(await banned.error('signal', signal)).toMatchObject({ code: 'not_member' });

    await leaving2.ok('room:leave', { room: 'hall' });
    const ofLeaving = leaksOf(leaving, 'leaving');
    expect(await leaving.error('signal', signal)).toMatchObject({ code: 'not_member' });

    await owner.ok('room:role', { room: 'hall', user: 'guest', role: 'guest' });
    expect(await guest.error('signal', signal)).toMatchObject({ code: 'forbidden' });

    await owner.ok('room:mute', { room: 'hall', user: 'muted', seconds: 60 });
    expect(await muted.error('signal', signal)).toMatchObject({ code: 'forbidden' });

    await revoked0.ok('session:revoke', { all: true });
    const ofRevoked = leaksOf(revoked, 'revoked').filter((leak) => !leak.startsWith('session:revoked'));

    await stopSending();
    await owner.ok('room:delete', { room: 'hall' });
    const ofLast = leaksOf(last, 'last');
    expect(await last.error('signal', signal)).toMatchObject({ code: 'not_member' });
    expect(await pull(last)).toEqual([]);

    await fence(owner, near, 'other', [banned, leaving, last]);
    expect([ofBanned, ofLeaving, ofRevoked, ofLast].flat()).toEqual([]);
  },
  longMs,
);

it(
  'a late join does not bring back a user that was removed after it',
  async () => {
    const { owner, members, near } = await scene(['member']);
    const [member] = members as [StockClient];
    await stopSending();
    const [joined] = await cluster.database.sql<[{ version: number }]>`
    select version from members where room_id = 'hall' and user_id = 'member'`;
    await owner.ok('room:remove', { room: 'hall', user: 'member' });
    const leaks = leaksOf(member, 'member');
    const late = { to: 'membership' as const, room: 'hall', user: 'member', role: 'member' as const };
    const [other = Buffer.alloc(0)] = encodeEnvelopes(Buffer.from('anothers'), [{ ...late, ...joined }]);
    const { Redis } = await import('ioredis');
    const admin = new Redis(redis.url);
    expect(await admin.publish(`${cluster.prefix}user`, other)).toBe(3);
    admin.disconnect();
    await fence(owner, near, 'hall', [member]);
    expect(await member.error('signal', { room: 'hall', name: 'typing' })).toMatchObject({ code: 'not_member' });
    await fence(owner, near, 'hall', [member]);
    expect(leaks).toEqual([]);
    // a user that is invited again is in the room
    await owner.ok('room:invite', { room: 'hall', user: 'member', role: 'member' });
    const joins = (): number => member.received('member').filter(({ change }) => change === 'joined').length;
    await until('the member is back', () => joins() === 2);
    await member.ok('signal', { room: 'hall', name: 'typing' });
  },
  longMs,
);

it('with Redis healthy, a removal is acknowledged after the other nodes have confirmed it', async () => {
  const { owner } = await scene(['member']);
  await owner.ok('room:remove', { room: 'hall', user: 'member' });
  const [row] = await cluster.database.sql<[{ waiting: number }]>`
    select count(*)::int as waiting from node_confirmations n, membership_changes c
    where c.user_id = 'member' and not pg_visible_in_snapshot(c.xid, n.confirmed)`;
  // its own node may be the one that has not
  expect(row.waiting).toBeLessThanOrEqual(1);
  // no node was given up after three seconds
  for (const node of cluster.nodes)
    expect((await node.metrics()).get('parley_membership_unconfirmed_nodes_total') ?? 0).toBe(0);
});

it('a node that was killed holds up one removal for three seconds, and no other', async () => {
  const { owner } = await scene(['first', 'second']);
  await cluster.database.sql`
    insert into node_confirmations (node, confirmed) values ('killed', pg_current_snapshot())`;
  const from = performance.now();
  await owner.ok('room:remove', { room: 'hall', user: 'first' });
  expect(performance.now() - from).toBeGreaterThan(2900);
  // the acknowledgement does not wait for that
  await until('the row of the node that was killed is gone', async () => {
    const rows = await cluster.database.sql`select from node_confirmations where node = 'killed'`;
    return rows.length === 0;
  });
  await owner.ok('room:remove', { room: 'hall', user: 'second' });
  const metrics = await cluster.nodes[0]?.metrics();
  expect(metrics?.get('parley_membership_unconfirmed_nodes_total')).toBe(1);
});
