/** Redis hangs, forgets or changes its role under a cluster with clients. */
import { Redis } from 'ioredis';
import { afterEach, expect, it } from 'vitest';
import { bodiesReceived, startCluster, type Cluster } from '../support/cluster.ts';
import { assertDense } from '../support/messaging.ts';
import { startOwnRedis, type OwnService } from '../support/services.ts';
import { text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

let cluster: Cluster;
let redis: OwnService;
let admin: Redis;
afterEach(async () => {
  process.kill(redis.pid(), 'SIGCONT');
  await assertDense(cluster.database.sql);
  await cluster.stop();
  admin.disconnect();
  await redis.stop();
});

/**
 * Two nodes, a client on each, in one room. While Redis is well, anti-entropy comes each ten minutes. So a message that arrives
 * in time came by Redis, or by the polls of a node without Redis.
 */
async function hall(): Promise<[StockClient, StockClient]> {
  redis = await startOwnRedis();
  admin = new Redis(redis.url);
  cluster = await startCluster(2, { redisUrl: redis.url, env: { PARLEY_HEADS_POLL_MS: '600000' } });
  const [ann, ben] = [await cluster.connect(0, 'ann'), await cluster.connect(1, 'ben')];
  await ann.ok('room:create', { kind: 'channel', name: 'Hall', id: 'hall' });
  await ben.ok('room:join', { room: 'hall' });
  return [ann, ben];
}

const presenceOf = (client: StockClient, user: string): boolean[] =>
  client
    .received('presence')
    .filter((event) => event.user === user)
    .map(({ online }) => online);

const reach = (is: boolean) =>
  until(`all nodes ${is ? 'are reachable' : 'are unreachable'}`, async () => {
    for (const node of cluster.nodes) if ((await node.reach()) !== is) return false;
    return true;
  });

it('a hung Redis delays messages to another node by a poll only', async () => {
  const [ann, ben] = await hall();
  await ann.ok('message:send', text('hall', 0));
  await bodiesReceived(ben, 'hall', 1);
  process.kill(redis.pid(), 'SIGSTOP');
  for (let n = 1; n <= 12; n++) {
    await ann.ok('message:send', text('hall', n));
    await bodiesReceived(ben, 'hall', n + 1);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  process.kill(redis.pid(), 'SIGCONT');
  await reach(true);
  await ben.ok('message:send', text('hall', 13));
  expect(await bodiesReceived(ann, 'hall', 14)).toEqual(Array.from({ length: 14 }, (_, n) => n));
});

it(
  'after a flush, users that stay are online and users that leave go offline, within 15 s',
  { timeout: 60_000 },
  async () => {
    const [ann, ben] = await hall();
    const cat = await cluster.connect(1, 'cat');
    await cat.ok('room:join', { room: 'hall' });
    await ann.ok('presence:watch', { users: ['ben', 'cat'] });
    const keys = async (part: string): Promise<string[]> => admin.keys(`${cluster.prefix}presence:${part}*`);
    await until('both are written', async () => (await keys('user:')).length === 3);
    await admin.flushall();
    const { sessions, complete } = await ben.ok('session:list', {});
    // a list that lacks a node does not call itself complete
    expect(complete ? sessions.length : 1).toBe(1);
    cat.close();
    await until('she gets the event', () => presenceOf(ann, 'cat').length === 1, 15_000);
    expect(presenceOf(ann, 'cat')).toEqual([false]);
    const { presence } = await ann.ok('presence:get', { users: ['ben', 'cat'] });
    expect(presence).toMatchObject({
      ben: { online: true },
      cat: { online: false, lastSeen: expect.any(Number) as number },
    });
    // one key alone, of a user that stays: no watcher gets an event
    await admin.del(`${cluster.prefix}presence:user:ben`);
    await until('it is written again', async () => (await keys('user:ben')).length === 1, 15_000);
    // an absence that begins now is reported later than one that began with the deletion
    const dan = await cluster.connect(1, 'dan');
    await dan.ok('room:join', { room: 'hall' });
    await ann.ok('presence:watch', { users: ['dan'] });
    dan.close();
    await until('the fence is reported', () => presenceOf(ann, 'dan').includes(false), 15_000);
    expect(presenceOf(ann, 'ben')).toEqual([]);
  },
);

it(
  'the states that watchers got are compared with the present ones, though no change was received',
  { timeout: 60_000 },
  async () => {
    const [ann, ben] = await hall();
    await ann.ok('presence:watch', { users: ['ben'] });
    // the change is lost: as if nobody but the writer of the keys had known
    await admin.acl('SETUSER', 'default', 'resetchannels', `&${cluster.prefix}ping:*`, `&${cluster.prefix}control*`);
    const incarnation = (await admin.zrange(`${cluster.prefix}presence:nodes`, '0', '-1')).find((name) =>
      name.startsWith('node-1'),
    );
    ben.close();
    await until('he is gone from Redis', async () => {
      await admin.srem(`${cluster.prefix}presence:user:ben`, incarnation ?? '');
      await admin.srem(`${cluster.prefix}presence:node:${incarnation}`, 'ben');
      return (await admin.exists(`${cluster.prefix}presence:user:ben`)) === 0;
    });
    await admin.acl('SETUSER', 'default', 'allchannels');
    await until('she gets the event', () => presenceOf(ann, 'ben').at(-1) === false, 20_000);
  },
);

it('messages cross by Postgres while Redis is a replica, and by Redis when it is a master again', async () => {
  const [ann, ben] = await hall();
  await admin.replicaof('127.0.0.1', 1);
  await reach(false);
  for (const node of cluster.nodes) {
    // Redis closes the connections first
    await until('the reason is named', async () => {
      const ready = await fetch(`${node.url}/ready`);
      const { checks } = (await ready.json()) as { checks: { redis: { reason?: string } } };
      return ready.status === 200 && checks.redis.reason?.includes('replica') === true;
    });
    const ready = await (await fetch(`${node.url}/ready`)).json();
    expect(ready).toMatchObject({ checks: { redis: { ok: false, vital: false } } });
    const metrics = await node.metrics();
    expect(metrics.get('parley_redis_up{link="events"}')).toBe(0);
    expect(metrics.get('parley_redis_up{link="keys"}')).toBe(0);
    expect(metrics.get('parley_redis_up{link="door"}')).toBe(0);
  }
  await ann.ok('message:send', text('hall', 0));
  expect(await bodiesReceived(ben, 'hall', 1)).toEqual([0]);
  await admin.replicaof('NO', 'ONE');
  await reach(true);
  await ben.ok('message:send', text('hall', 1));
  expect(await bodiesReceived(ann, 'hall', 2)).toEqual([0, 1]);
});

it('a full Redis still passes messages on; presence and rates are then of each node', async () => {
  const [ann, ben] = await hall();
  await admin.config('SET', 'maxmemory', '1');
  const keys = async (): Promise<number[]> =>
    Promise.all(cluster.nodes.map(async (node) => (await node.metrics()).get('parley_redis_up{link="keys"}') ?? -1));
  await until('both know', async () => (await keys()).every((up) => up === 0));
  await ann.ok('message:send', text('hall', 0));
  expect(await bodiesReceived(ben, 'hall', 1)).toEqual([0]);
  const dan = await cluster.connect(0, 'dan');
  await dan.ok('room:join', { room: 'hall' });
  expect((await ann.ok('presence:get', { users: ['dan'] })).presence).toMatchObject({ dan: { online: true } });
  const metrics = await cluster.nodes[0]?.metrics();
  expect(metrics?.get('parley_redis_refusals_total{problem="memory"}')).toBeGreaterThan(0);
  await admin.config('SET', 'maxmemory', '0');
  await until('both know', async () => (await keys()).every((up) => up === 1));
  await until('the other node has it', async () => {
    return (await ben.ok('presence:get', { users: ['dan'] })).presence['dan']?.online === true;
  });
});
