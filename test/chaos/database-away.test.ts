import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assertDense } from '../support/messaging.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { testSecret, tokenOf } from '../support/server.ts';
import { spawnServer, type SpawnedServer } from '../support/spawn.ts';
import { connectError, connectStock, text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let proxy: Proxy;
let server: SpawnedServer;
let client: StockClient;

beforeAll(async () => {
  database = await createTestDatabase();
  proxy = await startProxy(database.url);
  server = await spawnServer({ DATABASE_URL: proxy.url, PARLEY_JWT_SECRET: testSecret, PARLEY_LOG_LEVEL: 'error' });
  client = await connectStock(server.url, await tokenOf('ann'));
  await client.ok('room:create', { kind: 'channel', name: 'Room', id: 'room' });
});
afterAll(async () => {
  client.close();
  server.kill('SIGTERM');
  await server.exit();
  await proxy.close();
  await assertDense(database.sql);
  await database.drop();
});

async function readiness(): Promise<{ status: number; checks: Record<string, { ok: boolean }> }> {
  const response = await fetch(`${server.url}/ready`);
  const { checks } = (await response.json()) as { checks: Record<string, { ok: boolean }> };
  return { status: response.status, checks };
}

describe('while the database is unavailable', () => {
  const early = text('room', 'before');
  const waiting = Array.from({ length: 5 }, (_, n) => text('room', n));

  it('sends become unavailable with retryAfter, connections stay, and the server is alive but not ready', async () => {
    await client.ok('message:send', early);
    expect(await readiness()).toMatchObject({ status: 200 });
    proxy.cut();
    const errors = await Promise.all(waiting.map((message) => client.error('message:send', message)));
    for (const error of errors) expect(error).toMatchObject({ code: 'unavailable', retryable: true, retryAfter: 1000 });
    expect(await client.error('history', { room: 'room' })).toMatchObject({ code: 'unavailable' });
    expect(await client.error('room:list', {})).toMatchObject({ code: 'unavailable' });
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
    expect(await readiness()).toMatchObject({ status: 503, checks: { database: { ok: false } } });
    const { data } = await connectError(server.url, { token: await tokenOf('ben') });
    expect(data).toMatchObject({ code: 'unavailable', retryable: true });
    expect(client.socket.connected).toBe(true);
  }, 40_000);

  it('nothing is lost: what is sent again afterwards is stored once, on the same connection', async () => {
    proxy.restore();
    await until('the server is ready again', async () => (await readiness()).status === 200, 30_000);
    for (const message of waiting) await client.ok('message:send', message);
    expect(await client.ok('message:send', early)).toMatchObject({ seq: 1 });
    const { messages } = await client.ok('history', { room: 'room' });
    expect(messages.map(({ seq, body }) => [seq, body])).toEqual([
      [1, 'before'],
      ...waiting.map(({ body }, n) => [n + 2, body]),
    ]);
    await until('all messages have come', () => client.received('message').length === 6);
    expect(client.received('message').map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(server.ended()).toBeUndefined();
  }, 40_000);
});
