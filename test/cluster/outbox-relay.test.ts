/** A process dies after its commit and before it publishes: other nodes publish. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { bodiesReceived, startTwoNodes, type Cluster } from '../support/cluster.ts';
import { total } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { spawnServer } from '../support/spawn.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';
import { testSecret, tokenOf } from '../support/test-token.ts';
import { until } from '../support/until.ts';

let cluster: Cluster;
let ann: StockClient;
let ben: StockClient;

beforeAll(async () => {
  ({ cluster, ann, ben } = await startTwoNodes());
});
afterAll(() => cluster.stop());

const outboxRows = async (): Promise<number> => (await cluster.database.sql`select 1 from outbox`).length;
const relayed = async (): Promise<number> => {
  const counts = await Promise.all(
    cluster.nodes.map(async (node) => total(await node.metrics(), 'parley_outbox_relayed_total')),
  );
  return counts.reduce((sum, count) => sum + count, 0);
};

it('rows that a dead node left in its outbox reach the clients of all nodes, in order and once', async () => {
  const batch = Array.from({ length: 30 }, (_, n) => [n % 3 === 0 ? 'two' : 'one', randomUUID(), 'ann', n]);
  // the state of the database after such a death: stored, in the outbox, not published
  for (const part of [batch.slice(0, 10), batch.slice(10)]) {
    await cluster.database.sql`
      select append_messages(array['one', 'two'], ${JSON.stringify(part)}::text::jsonb, '{}')`;
  }
  for (const client of [ann, ben]) {
    for (const [room, mine] of [
      ['one', (n: number) => n % 3 !== 0],
      ['two', (n: number) => n % 3 === 0],
    ] as const) {
      const bodies = batch.map(([, , , n]) => n as number).filter(mine);
      expect(await bodiesReceived(client, room, bodies.length)).toEqual(bodies);
    }
  }
  await until('the rows are gone', async () => (await outboxRows()) === 0);
  expect(await relayed()).toBe(2);
  await ann.ok('message:send', text('one', 'live'));
  expect((await bodiesReceived(ben, 'one', 21)).at(-1)).toBe('live');
});

it('a node that is killed with what it committed still on its way to Redis loses nothing', async () => {
  const before = await relayed();
  const way = await startProxy(inject('redisUrl'));
  const doomed = await spawnServer({
    DATABASE_URL: cluster.database.url,
    REDIS_URL: way.url,
    PARLEY_REDIS_PREFIX: cluster.prefix,
    PARLEY_JWT_SECRET: testSecret,
    PARLEY_HOST: '127.0.0.1',
    PARLEY_NODE: 'doomed',
    PORT: '0',
  });
  const cid = await connectStock(doomed.url, await tokenOf('cid'), { reconnection: false });
  try {
    await cid.ok('room:join', { room: 'one' });
    const seqs = new Set(ann.received('message').map(({ seq }) => seq));
    way.swallow();
    const acks = await Promise.all(
      Array.from({ length: 20 }, (_, n) => cid.ok('message:send', text('one', `last ${n}`))),
    );
    doomed.kill('SIGKILL');
    await doomed.exit();
    for (const { seq } of acks) expect(seqs.has(seq)).toBe(false);
    for (const client of [ann, ben]) {
      await until('all 20 came', () =>
        acks.every(({ seq }) => client.received('message').some((m) => m.seq === seq && m.room === 'one')),
      );
      const received = client
        .received('message')
        .filter(({ room }) => room === 'one')
        .map(({ seq }) => seq);
      expect(received).toEqual(Array.from({ length: received.length }, (_, n) => n + 1));
    }
    expect(await relayed()).toBeGreaterThan(before);
  } finally {
    cid.close();
    if (doomed.ended() === undefined) doomed.kill('SIGKILL');
    await doomed.exit();
    await way.close();
  }
});

it('rows of living nodes are deleted by themselves when they are quiet, and relayed by nobody', async () => {
  const before = await relayed();
  await ann.ok('message:send', text('one', 'x'));
  await ben.ok('message:send', text('two', 'y'));
  await until('the rows are gone', async () => (await outboxRows()) === 0);
  expect(await relayed()).toBe(before);
});
