/** A server that is replaced: its clients go over the window, find the next process on the same port, and miss nothing. */
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTcp } from 'node:net';
import { WebSocket } from 'ws';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { freePort } from '../support/processes.ts';
import { connectRaw } from '../support/raw-client.ts';
import { testSecret, tokenOf } from '../support/server.ts';
import { spawnServer, type SpawnedServer } from '../support/spawn.ts';
import { connectStock, openStock } from '../support/stock-client.ts';
import { until } from '../support/until.ts';
import { Reader } from './reader.ts';

const windowMs = 4000;
let database: TestDatabase;
let env: Record<string, string>;
const servers: SpawnedServer[] = [];

async function start(more: Record<string, string> = {}): Promise<SpawnedServer> {
  const server = await spawnServer({ ...env, PORT: String(await freePort()), ...more });
  servers.push(server);
  return server;
}

beforeAll(async () => {
  database = await createTestDatabase();
  env = { DATABASE_URL: database.url, PARLEY_JWT_SECRET: testSecret, PARLEY_DRAIN_MS: String(windowMs) };
});
afterEach(async () => {
  for (const server of servers.splice(0)) {
    if (server.ended() !== undefined) continue;
    server.kill('SIGTERM');
    server.kill('SIGTERM');
    await server.exit();
  }
});
afterAll(() => database.drop());

/** By a connection of its own: fetch would use one that it still holds. */
function refuses(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTcp(Number(new URL(url).port), '127.0.0.1');
    socket.once('connect', () => resolve(false)).once('error', () => resolve(true));
    socket.once('connect', () => socket.destroy());
  });
}

it('closes its clients one by one over the window; they reconnect to the next process, and nothing is lost or doubled', async () => {
  const server = await start();
  const room = 'moving';
  const host = await connectStock(server.url, await tokenOf('host'));
  await host.ok('room:create', { kind: 'channel', name: room, id: room });
  host.close();
  const members = Array.from({ length: 40 }, (_, i) => `member-${i}`);
  for (const user of [...members, 'stock', 'sdk']) {
    const joining = await connectStock(server.url, await tokenOf(user));
    await joining.ok('room:join', { room });
    joining.close();
  }
  const leaving: Reader[] = [];
  const readers = members.map(
    (user): Reader =>
      new Reader({
        url: server.url,
        token: () => tokenOf(user),
        room,
        reconnectMs: () => {
          if (reader(user).closes.length === 1) leaving.push(reader(user));
          return 100;
        },
      }),
  );
  const reader = (user: string): Reader => readers[members.indexOf(user)] as Reader;
  const stock = openStock(server.url, { token: await tokenOf('stock') }, { reconnection: true });
  const sdk = connect({ url: server.url, token: () => tokenOf('sdk'), WebSocket });
  await until(
    'all are connected',
    () =>
      readers.every(({ ready }) => ready) &&
      stock.received('ready').length > 0 &&
      sdk.state.value.status === 'connected',
  );

  // ten send without a pause until all have moved
  let over = false;
  const bodies: string[] = [];
  const refusals: string[] = [];
  const sendOn = async (name: string, send: (body: string) => Promise<unknown>): Promise<void> => {
    for (let n = 0; !over; n++) {
      bodies.push(`${name} ${n}`);
      await send(`${name} ${n}`);
    }
  };
  const sending = [
    ...readers
      .slice(0, 10)
      .map((sender, i) => sendOn(`member-${i}`, async (body) => refusals.push(...(await sender.send(body))))),
    sendOn('sdk', (body) => sdk.room(room).send(body)),
  ];
  await until('messages flow', () => bodies.length > 100);
  server.kill('SIGTERM');
  await until('the port is free', () => refuses(server.url));
  const next = await start({ PORT: new URL(server.url).port });
  await until('all have moved', () => readers.every(({ opened, ready }) => ready && opened > 1), 30_000);
  await until(
    'the others have too',
    () => stock.received('ready').length > 1 && sdk.state.value.status === 'connected',
  );
  expect(await server.exit()).toEqual({ code: 0, signal: null });
  over = true;
  await Promise.all(sending);

  const stored = await database.sql<{ seq: number; id: string; body: string }[]>`
    select seq::int as seq, id, body #>> '{}' as body from messages where room_id = ${room} order by seq`;
  expect(stored.map(({ body }) => body).toSorted()).toEqual(bodies.toSorted());
  for (const each of readers) {
    await until('it holds all', () => each.messages.length >= stored.length);
    expect(each.messages).toEqual(stored);
  }
  await until('the SDK holds all', () => sdk.room(room).state.value.messages.at(-1)?.seq === stored.length);
  expect(new Set(refusals)).toContain('draining');

  // each had a moment of its own, the moments fill the window evenly, and they left in the order of their moments
  const moments = readers.map(({ drains }) => drains[0] ?? -1);
  expect(readers.every(({ drains }) => drains.length === 1)).toBe(true);
  expect(new Set(moments).size).toBe(moments.length);
  for (let quarter = 0; quarter < 4; quarter++) {
    const inIt = moments.filter((moment) => Math.ceil((moment * 4) / windowMs) === quarter + 1).length;
    expect(inIt).toBeGreaterThanOrEqual(8);
    expect(inIt).toBeLessThanOrEqual(12);
  }
  expect(leaving).toHaveLength(readers.length);
  leaving.forEach((earlier, at) => {
    for (const later of leaving.slice(at + 1)) {
      expect((later.drains[0] ?? 0) - (earlier.drains[0] ?? 0)).toBeGreaterThan(-windowMs / 4);
    }
  });
  expect(readers.every(({ closes }) => closes[0]?.code === 1001 && closes[0].reason === 'draining')).toBe(true);

  for (const each of readers) each.close();
  stock.close();
  sdk.close();
  expect((await next.metrics()).get('parley_internal_errors_total') ?? 0).toBe(0);
}, 90_000);

it('acknowledges earlier sends, refuses later ones as retryable, and still answers reads', async () => {
  const server = await start();
  const stays = await connectRaw(server.url, await tokenOf('ann'));
  stays.send('421["room:create",{"kind":"channel","name":"Last","id":"last"}]');
  await stays.next('431[');
  const send = (n: number): void =>
    stays.send(`42${n}["message:send",{"room":"last","id":"${crypto.randomUUID()}","body":${n}}]`);
  for (let n = 10; n < 60; n++) send(n);
  // the window of one connection is all of it
  await stays.next('4310[');
  server.kill('SIGTERM');
  expect(await stays.next('42["drain"')).toBe(`42["drain",{"after":${windowMs}}]`);
  for (let n = 11; n < 60; n++) expect(await stays.next(`43${n}[`)).toContain('"ok":true');
  send(60);
  const { error } = (JSON.parse((await stays.next('4360[')).slice(4)) as [{ error: object }])[0];
  expect(error).toMatchObject({ code: 'draining', retryable: true, retryAfter: 1000 });
  stays.send('4262["user:block",{"user":"ben"}]');
  expect(await stays.next('4362[')).toContain('"code":"draining"');
  stays.send('4261["history",{"room":"last"}]');
  expect(await stays.next('4361[')).toContain('"ok":true');
  expect(await stays.untilClosed()).toEqual({ code: 1001, reason: 'draining' });
  expect(await server.exit()).toEqual({ code: 0, signal: null });
}, 60_000);

it('ends at once at the second signal', async () => {
  const server = await start({ PARLEY_DRAIN_MS: '3600000' });
  const client = await connectRaw(server.url, await tokenOf('ben'));
  server.kill('SIGTERM');
  await client.next('42["drain"');
  // within 300 ms the same signal counts once: npm passes Ctrl-C on besides the terminal
  await delay(500);
  server.kill('SIGTERM');
  expect(await server.exit()).toEqual({ code: 1, signal: null });
  await client.untilClosed();
}, 60_000);
