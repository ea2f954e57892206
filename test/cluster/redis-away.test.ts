/** Redis is down for one node or all nodes: no event is lost or doubled, and memberships hold. */
import { afterEach, expect, it } from 'vitest';
import { bodiesReceived, startCluster, type Cluster, type ClusterOptions } from '../support/cluster.ts';
import { total } from '../support/metrics.ts';
import { assertDense } from '../support/messaging.ts';
import { startRedis } from '../support/services.ts';
import { text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

let cluster: Cluster;
const cleanUp: (() => Promise<void>)[] = [];
afterEach(async () => {
  await assertDense(cluster.database.sql);
  await cluster.stop();
  for (const step of cleanUp.splice(0)) await step();
});

async function hall(options?: ClusterOptions): Promise<[StockClient, StockClient]> {
  cluster = await startCluster(2, options);
  const [ann, ben] = [await cluster.connect(0, 'ann'), await cluster.connect(1, 'ben')];
  await ann.ok('room:create', { kind: 'channel', name: 'Hall', id: 'hall' });
  await ben.ok('room:join', { room: 'hall' });
  return [ann, ben];
}

const each = async (reach: boolean, ...nodes: number[]): Promise<void> => {
  for (const n of nodes) {
    await until(
      `node ${n} ${reach ? 'is reachable' : 'is unreachable'}`,
      async () => (await cluster.nodes[n]?.reach()) === reach,
    );
  }
};

const repaired = async (node: number, reason: string): Promise<number> =>
  (await cluster.nodes[node]?.metrics())?.get(`parley_fanout_repaired_total{reason="${reason}"}`) ?? 0;

it.each(['cut', 'swallow'] as const)(
  'by %s: messages cross all the same, and nothing is doubled when it is back',
  async (how) => {
    const [ann, ben] = await hall({ env: { PARLEY_HEADS_POLL_MS: '600000' } });
    await ann.ok('message:send', text('hall', 0));
    await bodiesReceived(ben, 'hall', 1);
    for (const node of cluster.nodes) node.redis[how]();
    await each(false, 0, 1);
    for (let n = 1; n <= 10; n++) await (n % 2 === 0 ? ann : ben).ok('message:send', text('hall', n));
    const all = Array.from({ length: 11 }, (_, n) => n);
    for (const client of [ann, ben]) expect(await bodiesReceived(client, 'hall', 11)).toEqual(all);
    expect((await repaired(0, 'away')) + (await repaired(0, 'gap'))).toBeGreaterThan(0);
    const response = await fetch(`${cluster.nodes[0]?.url}/ready`);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      checks: { redis: { ok: false, vital: false }, database: { ok: true } },
    });

    // sent at the moment of its return: lost for the other node, known by the heads
    await ben.ok('message:send', text('hall', 11));
    for (const node of cluster.nodes) node.redis.restore();
    await each(true, 0, 1);
    await ann.ok('message:send', text('hall', 12));
    for (const client of [ann, ben]) {
      await bodiesReceived(client, 'hall', 13);
      expect(client.received('message').map(({ seq }) => seq)).toEqual(Array.from({ length: 13 }, (_, n) => n + 1));
    }
  },
);

it('because it was killed, clients miss nothing, and nodes meet in the one that takes its place', async () => {
  const first = await startRedis();
  const [ann, ben] = await hall({ redisUrl: first.url, env: { PARLEY_HEADS_POLL_MS: '600000' } });
  await ann.ok('message:send', text('hall', 0));
  await first.stop();
  await ann.ok('message:send', text('hall', 1));
  expect(await bodiesReceived(ben, 'hall', 2)).toEqual([0, 1]);
  const second = await startRedis();
  cleanUp.push(() => second.stop());
  for (const node of cluster.nodes) node.redis.retarget(second.url);
  await each(true, 0, 1);
  const before = total((await cluster.nodes[1]?.metrics()) ?? new Map(), 'parley_fanout_repaired_total');
  await ann.ok('message:send', text('hall', 2));
  expect(await bodiesReceived(ben, 'hall', 3)).toEqual([0, 1, 2]);
  const after = total((await cluster.nodes[1]?.metrics()) ?? new Map(), 'parley_fanout_repaired_total');
  expect(after).toBe(before);
});

it('a message that Redis loses silently comes by the heads', async () => {
  const [ann, ben] = await hall({ env: { PARLEY_HEADS_POLL_MS: '200' } });
  // as if the one event had been lost: stored by nobody's writer, and published by nobody
  await cluster.database.sql`
    select append_messages(array['hall'], ${JSON.stringify([['hall', crypto.randomUUID(), 'ann', 'lost']])}::text::jsonb, '{}')`;
  await cluster.database.sql`delete from outbox`;
  for (const client of [ann, ben]) expect(await bodiesReceived(client, 'hall', 1)).toEqual(['lost']);
  expect(await repaired(1, 'heads')).toBe(1);
});

it('a removal made while a node was cut off is applied there before anything else is delivered', async () => {
  const [ann, ben] = await hall({ env: { PARLEY_HEADS_POLL_MS: '600000' } });
  const ben0 = await cluster.connect(0, 'ben');
  cluster.nodes[1]?.redis.cut();
  await each(false, 1);
  await ben0.ok('room:leave', { room: 'hall' });
  for (let n = 0; n < 20; n++) await ann.ok('message:send', text('hall', n));
  cluster.nodes[1]?.redis.restore();
  await each(true, 1);
  const left = await ben.event('member', ({ user, change }) => user === 'ben' && change === 'left');
  expect(left).toMatchObject({ room: 'hall', role: null });
  await ann.ok('message:send', text('hall', 'later'));
  await ann.event('message', ({ body }) => body === 'later');
  expect(await ben.error('signal', { room: 'hall', name: 'x' })).toMatchObject({ code: 'not_member' });
  expect(ben.received('message')).toEqual([]);
  expect(ben.received('member').filter(({ change }) => change === 'left')).toHaveLength(1);
});

it('joining, and another role, reach connections of a node that was cut off, with the summary', async () => {
  const [ann, ben] = await hall({ env: { PARLEY_HEADS_POLL_MS: '600000' } });
  const cleo = await cluster.connect(1, 'cleo');
  cluster.nodes[1]?.redis.cut();
  await each(false, 1);
  await ann.ok('message:send', text('hall', 'before'));
  await bodiesReceived(ben, 'hall', 1);
  await ann.ok('room:invite', { room: 'hall', user: 'cleo', role: 'guest' });
  const joined = await cleo.event('member', ({ user }) => user === 'cleo');
  expect(joined).toMatchObject({ change: 'joined', role: 'guest', summary: { id: 'hall', rev: 1, role: 'guest' } });
  expect(await cleo.error('signal', { room: 'hall', name: 'x' })).toMatchObject({ code: 'forbidden' });
  await ann.ok('room:invite', { room: 'hall', user: 'cleo', role: 'member' });
  await cleo.event('member', ({ user, change }) => user === 'cleo' && change === 'role');
  await cleo.ok('signal', { room: 'hall', name: 'x' });
  await ann.ok('message:send', text('hall', 'after'));
  expect(await bodiesReceived(cleo, 'hall', 1)).toEqual(['after']);
  cluster.nodes[1]?.redis.restore();
  await each(true, 1);
  await ann.ok('message:send', text('hall', 'back'));
  expect(await bodiesReceived(cleo, 'hall', 2)).toEqual(['after', 'back']);
  expect(cleo.received('member').filter(({ user }) => user === 'cleo')).toHaveLength(2);
});
