/** Messages and signals of back ends on two nodes with one Redis. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { sendSignals, type Signalled, type SignalSender } from '../../src/api/signalling.ts';
import { RedisFanout } from '../../src/fanout/redis.ts';
import { limits } from '../../src/protocol/limits.ts';
import { publishRoutes } from '../../src/protocol/routes/publish.ts';
import { readInstallation } from '../../src/storage/installation.ts';
import { openRedis, type RedisLink } from '../../src/storage/redis.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { startTwoNodes, type Cluster } from '../support/cluster.ts';
import { assertDense, silentLog } from '../support/messaging.ts';
import { total } from '../support/metrics.ts';
import type { StockClient } from '../support/stock-client.ts';
import { untilOutboxEmpty } from '../support/outbox.ts';
import { until } from '../support/until.ts';

let cluster: Cluster;
let ann: StockClient;
let ben: StockClient;
let link: RedisLink;
let fanout: RedisFanout;

beforeAll(async () => {
  ({ cluster, ann, ben } = await startTwoNodes());
  link = await openRedis({ url: inject('redisUrl'), log: silentLog });
  fanout = new RedisFanout({
    link,
    prefix: cluster.prefix,
    partitions: 1,
    installation: await readInstallation(cluster.database.sql),
    otherEpoch: () => undefined,
    metrics: new Metrics(),
    log: silentLog,
  });
  await fanout.open();
});
afterAll(async () => {
  await fanout.close();
  await link.close();
  await cluster.stop();
});

const everyRoom = { id: 'shop', everyRoom: true, mayUseRoom: () => true };
const signal = (signals: readonly object[], sender: Partial<SignalSender> = {}): Signalled[] =>
  sendSignals(
    fanout,
    { key: everyRoom, user: undefined, ...sender },
    publishRoutes.signals.input.parse({ signals }).signals,
  );

async function publish(body: unknown, room = 'one'): Promise<number> {
  const [row] = await cluster.database.sql<[{ seq: number }]>`
    select parley.publish(${room}, ${randomUUID()}, 'shop', ${JSON.stringify(body)}::text::jsonb) as seq`;
  return row.seq;
}

it('signals of a key reach a room, a user and one connection, on every node', async () => {
  const phone = await cluster.connect(1, 'ben');
  const { session } = await phone.event('ready');
  expect(
    signal([
      { to: { room: 'one' }, name: 'deploy', data: { step: 1 } },
      { to: { user: 'ben' }, name: 'call', expires: 1000 },
      { to: { connection: session }, name: 'here' },
      { to: { user: 'nobody' }, name: 'lost' },
    ]),
  ).toEqual([{}, {}, {}, {}]);
  const from = { from: 'backend:shop', fromName: null };
  for (const client of [ann, ben, phone]) {
    expect(await client.event('signal')).toEqual({
      room: 'one',
      ...from,
      name: 'deploy',
      expires: limits.signalDefaultExpiryMs,
      data: { step: 1 },
    });
  }
  for (const client of [ben, phone]) {
    expect(await client.event('signal:direct')).toEqual({ ...from, name: 'call', expires: 1000 });
  }
  await phone.event('signal:direct', ({ name }) => name === 'here');
  // a later signal to all shows that the others do not get this one
  signal([{ to: { room: 'one' }, name: 'end' }], { user: { id: 'ann', name: 'Ann' } });
  for (const client of [ann, ben]) {
    expect(await client.event('signal', ({ name }) => name === 'end')).toMatchObject({ from: 'ann', fromName: 'Ann' });
    expect(client.received('signal:direct').filter(({ name }) => name === 'here')).toEqual([]);
  }
  expect(ann.received('signal:direct')).toEqual([]);
});

it('a key that is limited to rooms signals these rooms alone', () => {
  const key = { id: 'k', everyRoom: false, mayUseRoom: (room: string) => room === 'one' };
  const results = signal(
    [
      { to: { room: 'one' }, name: 'x' },
      { to: { room: 'two' }, name: 'x' },
      { to: { user: 'ann' }, name: 'x' },
      { to: { connection: 'x' }, name: 'x' },
      { to: { room: 'one' }, name: 'x', data: 'x'.repeat(limits.bodyBytes) },
    ],
    { key },
  );
  const refused = { error: { code: 'forbidden', retryable: false } };
  expect(results).toMatchObject([{}, refused, refused, refused, { error: { code: 'too_large' } }]);
});

it('takes as many signals as may be in one request, and no more', () => {
  const signals = Array.from({ length: limits.publishedSignals + 1 }, () => ({ to: { room: 'one' }, name: 'x' }));
  expect(publishRoutes.signals.input.safeParse({ signals: signals.slice(1) }).success).toBe(true);
  expect(publishRoutes.signals.input.safeParse({ signals }).success).toBe(false);
});

it('messages of SQL reach the clients of both nodes, in order and once, and are relayed once', async () => {
  const relayed = async (): Promise<number> => {
    const counts = await Promise.all(
      cluster.nodes.map(async (node) => total(await node.metrics(), 'parley_outbox_relayed_total')),
    );
    return counts.reduce((sum, n) => sum + n, 0);
  };
  const before = await relayed();
  const sends = Array.from({ length: 40 }, (_, n) =>
    [ann, ben][n % 2]?.ok('message:send', { room: 'one', id: randomUUID(), body: n }),
  );
  const published = Array.from({ length: 40 }, (_, n) => publish(n, n % 4 === 0 ? 'two' : 'one'));
  await Promise.all([...sends, ...published]);
  for (const client of [ann, ben]) {
    for (const [room, length] of [
      ['one', 70],
      ['two', 10],
    ] as const) {
      const seqs = (): number[] => client.received('message').flatMap((one) => (one.room === room ? one.seq : []));
      await until(`${length} messages of ${room} come`, () => seqs().length >= length);
      expect(seqs()).toEqual(Array.from({ length }, (_, n) => n + 1));
    }
  }
  await untilOutboxEmpty(cluster.database.sql);
  expect((await relayed()) - before).toBe(40);
  await assertDense(cluster.database.sql);
});

it('messages of SQL come by a poll where Postgres sends no notification', async () => {
  const { sql } = cluster.database;
  // as behind a pooler, which takes `listen` and passes nothing on
  await sql`
    select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'listen%'`;
  const seq = await publish('no notification');
  for (const client of [ann, ben])
    await client.event('message', (message) => message.room === 'one' && message.seq === seq);
});
