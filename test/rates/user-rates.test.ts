import { afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { startProxy } from '../support/proxy.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { startRedis } from '../support/services.ts';
import { connectError, connectStock, text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

const cleanUp: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step();
});

async function start(env: Record<string, string>, nodes = 1): Promise<TestServer[]> {
  const settings = { PARLEY_REDIS_PREFIX: `rates-${crypto.randomUUID()}:`, PARLEY_DRAIN_MS: '0', ...env };
  const servers: TestServer[] = [];
  for (let i = 0; i < nodes; i++) {
    const server = await startServer(settings, servers[0]?.database);
    cleanUp.push(() => server.stop());
    servers.push(server);
  }
  return servers;
}

async function client(server: TestServer, user: string, tier?: string): Promise<StockClient> {
  const stock = await connectStock(server.url, await tokenOf(user, tier === undefined ? {} : { tier }));
  cleanUp.push(() => stock.close());
  return stock;
}

/** How many of these were stored. */
async function sendAll(clients: StockClient[], room: string, count: number): Promise<number> {
  const acks = await Promise.all(
    clients.flatMap((one) =>
      Array.from({ length: count }, async () => {
        const ack = (await one.socket.emitWithAck('message:send', text(room, 'x'))) as { ok: boolean; error?: object };
        if (!ack.ok) expect(ack.error).toMatchObject({ code: 'rate_limited', retryable: true });
        return ack.ok;
      }),
    ),
  );
  return acks.filter(Boolean).length;
}

let redisUrl: string;
beforeAll(() => {
  redisUrl = inject('redisUrl');
});

describe('messages a minute of a user', () => {
  const tiers = { PARLEY_TIERS: 'standard=10,premium=30' };

  it('are those of the tier in the token, on one node without Redis', async () => {
    const [server] = (await start(tiers)) as [TestServer];
    const plain = await client(server, 'plain');
    const phone = await client(server, 'plain');
    await plain.ok('room:create', { kind: 'channel', id: 'r', name: 'R' });
    expect(await sendAll([plain, phone], 'r', 10)).toBe(10);
    const error = await plain.error('message:send', text('r', 'x'));
    expect(error).toMatchObject({ code: 'rate_limited', retryable: true });
    expect(error.retryAfter).toBeGreaterThan(40_000);
    for (const [user, tier, most] of [
      ['rich', 'premium', 30],
      ['odd', 'unheard-of', 10],
    ] as const) {
      const one = await client(server, user, tier);
      await one.ok('room:join', { room: 'r' });
      expect(await sendAll([one], 'r', most + 1)).toBe(most);
    }
    // what was refused is not stored, and other commands go on
    expect((await plain.ok('history', { room: 'r', limit: 100 })).rev).toBe(50);
  });

  it('hold over two nodes, but for a tenth of the limit a node', async () => {
    const [one, two] = (await start({ ...tiers, REDIS_URL: redisUrl }, 2)) as [TestServer, TestServer];
    const here = await client(one, 'ann');
    await here.ok('room:create', { kind: 'channel', id: 'r', name: 'R' });
    const there = await client(two, 'ann');
    const stored = await sendAll([here, there], 'r', 11);
    expect(stored).toBeGreaterThanOrEqual(10);
    expect(stored).toBeLessThanOrEqual(12);
    for (const stock of [here, there]) {
      await until('it is refused', async () => (await sendAll([stock], 'r', 1)) === 0);
    }
    expect((await here.ok('history', { room: 'r', limit: 100 })).rev).toBeLessThanOrEqual(12);
  });

  it('are unlimited without tiers', async () => {
    const [server] = (await start({ REDIS_URL: redisUrl })) as [TestServer];
    const ann = await client(server, 'ann');
    await ann.ok('room:create', { kind: 'channel', id: 'r', name: 'R' });
    expect(await sendAll([ann], 'r', 100)).toBe(100);
  });

  it('are counted by the node itself while Redis is unavailable', async () => {
    const redis = await startRedis();
    cleanUp.push(() => redis.stop());
    const proxy = await startProxy(redis.url);
    cleanUp.push(() => proxy.close());
    const [server] = (await start({ ...tiers, REDIS_URL: proxy.url })) as [TestServer];
    const ann = await client(server, 'ann');
    await ann.ok('room:create', { kind: 'channel', id: 'r', name: 'R' });
    proxy.swallow();
    const stored = await sendAll([ann], 'r', 12);
    expect(stored).toBeGreaterThanOrEqual(10);
    expect(stored).toBeLessThanOrEqual(11);
    expect((await server.metrics()).get('parley_rates_alone_total')).toBeGreaterThan(0);
    proxy.restore();
  });
});

describe('CONNECTs a minute of a user', () => {
  it('are limited on one node', async () => {
    const [server] = (await start({ PARLEY_CONNECTS_PER_MINUTE_PER_USER: '3' })) as [TestServer];
    for (let i = 0; i < 3; i++) await client(server, 'ann');
    const { data } = await connectError(server.url, { token: await tokenOf('ann') });
    expect(data).toMatchObject({ code: 'rate_limited', retryable: true });
    expect(data?.retryAfter).toBeGreaterThan(0);
    await client(server, 'ben');
  });

  it('hold over two nodes', async () => {
    const env = { PARLEY_CONNECTS_PER_MINUTE_PER_USER: '3', REDIS_URL: redisUrl };
    const [one, two] = (await start(env, 2)) as [TestServer, TestServer];
    const outcomes: string[] = [];
    for (let i = 0; i < 6; i++) {
      const server = i % 2 === 0 ? one : two;
      try {
        await client(server, 'ann');
        outcomes.push('in');
      } catch {
        outcomes.push('out');
      }
    }
    expect(outcomes.filter((outcome) => outcome === 'in').length).toBeGreaterThanOrEqual(3);
    expect(outcomes.filter((outcome) => outcome === 'in').length).toBeLessThanOrEqual(5);
    for (const { url } of [one, two]) {
      expect((await connectError(url, { token: await tokenOf('ann') })).data).toMatchObject({ code: 'rate_limited' });
    }
  });
});
