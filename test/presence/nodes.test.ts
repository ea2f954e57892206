/** Presence over nodes that are separate processes: killed, paused, stopped, without their Redis. */
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { Report } from '../../src/telemetry/health.ts';
import { tokenOf } from '../support/server.ts';
import type { SpawnedServer } from '../support/spawn.ts';
import { startRedis, type Service } from '../support/services.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { connectStock, type StockClient, type StockOptions } from '../support/stock-client.ts';
import { until } from '../support/until.ts';
import { startCluster, type Cluster } from './cluster.ts';

let redis: Service;
let proxy: Proxy;
let cluster: Cluster;
let home: SpawnedServer;
const clients: StockClient[] = [];

beforeAll(async () => {
  redis = await startRedis();
  proxy = await startProxy(redis.url);
  cluster = await startCluster(proxy.url);
  home = await cluster.start({ PARLEY_NODE: 'home' });
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});
afterAll(async () => {
  await cluster?.stop();
  await proxy?.close();
  await redis?.stop();
});

async function enter(node: SpawnedServer, user: string, options: StockOptions = {}): Promise<StockClient> {
  const client = await connectStock(node.url, await tokenOf(user), options);
  clients.push(client);
  return client;
}

/** On the first node, with a room that all of them share. */
async function watcherOf(name: string, ...users: string[]): Promise<StockClient> {
  const watcher = await enter(home, name);
  await watcher.ok('room:create', { kind: 'group', name, id: name });
  for (const user of users) await watcher.ok('room:invite', { room: name, user });
  await watcher.ok('presence:watch', { users });
  return watcher;
}

const states = (client: StockClient, user: string) =>
  client
    .received('presence')
    .filter((event) => event.user === user)
    .map(({ online }) => online);

it(
  'reports the users of a killed node offline within 15 s, except users of another node',
  { timeout: 60_000 },
  async () => {
    const other = await cluster.start({ PARLEY_NODE: 'other' });
    const watcher = await watcherOf('kill', 'kill-there', 'kill-both', 'kill-moved');
    await enter(other, 'kill-there');
    for (const node of [home, other]) await enter(node, 'kill-both');
    await enter(other, 'kill-moved');
    await until('all are reported', () => watcher.received('presence').length === 3);
    const from = Date.now();
    other.kill('SIGKILL');
    await enter(home, 'kill-moved');
    await until('the dead node is noticed', () => states(watcher, 'kill-there').length === 2, 15_000);
    expect(Date.now() - from).toBeLessThan(15_000);
    expect(states(watcher, 'kill-there')).toEqual([true, false]);
    const { presence } = await watcher.ok('presence:get', { users: ['kill-there', 'kill-both', 'kill-moved'] });
    expect(presence['kill-there']?.lastSeen).toBeLessThanOrEqual(from + 1000);
    expect(presence).toMatchObject({ 'kill-both': { online: true }, 'kill-moved': { online: true } });
    expect(states(watcher, 'kill-both')).toEqual([true]);
    expect(states(watcher, 'kill-moved')).toEqual([true]);
  },
);

it(
  'brings back the users of a node that was paused for longer than nodes may be silent',
  { timeout: 60_000 },
  async () => {
    const other = await cluster.start({ PARLEY_NODE: 'paused' });
    const watcher = await watcherOf('pause', 'pause-ben');
    const ben = await enter(other, 'pause-ben');
    await until('he is there', () => states(watcher, 'pause-ben').length === 1);
    other.kill('SIGSTOP');
    await until('it is taken for dead', () => states(watcher, 'pause-ben').length === 2);
    other.kill('SIGCONT');
    await until('it finds out', () => states(watcher, 'pause-ben').length === 3);
    expect(states(watcher, 'pause-ben')).toEqual([true, false, true]);
    expect(ben.socket.connected).toBe(true);
    // and he can go like anybody else
    ben.close();
    await until('he is gone', () => states(watcher, 'pause-ben').length === 4);
  },
);

it('says nothing of users whom a stopping node sent elsewhere', { timeout: 60_000 }, async () => {
  const leaving = await cluster.start({ PARLEY_NODE: 'leaving' });
  const watcher = await watcherOf('drain', 'drain-ben', 'drain-fence');
  const ben = await enter(leaving, 'drain-ben');
  await enter(leaving, 'drain-fence');
  await until('both are there', () => watcher.received('presence').length === 2);
  ben.socket.once('disconnect', () => void enter(home, 'drain-ben'));
  leaving.kill('SIGTERM');
  await until('a user who does not come back is reported', () => states(watcher, 'drain-fence').length === 2);
  expect(states(watcher, 'drain-fence')).toEqual([true, false]);
  expect(states(watcher, 'drain-ben')).toEqual([true]);
  expect(await leaving.exit()).toEqual({ code: 0, signal: null });
});

it('goes on while Redis is unavailable, and is right again after it came back empty', { timeout: 60_000 }, async () => {
  const other = await cluster.start({ PARLEY_NODE: 'far' });
  const watcher = await watcherOf('heal', 'heal-near', 'heal-far', 'heal-late', 'heal-gone');
  await enter(other, 'heal-far');
  const gone = await enter(other, 'heal-gone');
  await until('both are there', () => watcher.received('presence').length === 2);
  proxy.cut();
  await until('both nodes know that it is unavailable', async () => {
    const reports = await Promise.all([home, other].map(async ({ url }) => (await fetch(`${url}/ready`)).json()));
    return (reports as Report[]).every(({ checks }) => checks['redis']?.ok === false);
  });
  await enter(home, 'heal-near');
  await until('the node reports the changes of its own users', () => states(watcher, 'heal-near').length === 1);
  await enter(other, 'heal-late');
  gone.close();
  expect((await watcher.ok('presence:get', { users: ['heal-near'] })).presence).toEqual({
    'heal-near': { online: true },
  });
  const direct = new Redis(redis.url);
  await direct.flushall();
  await direct.quit();
  proxy.restore();
  await until('a user who came meanwhile is reported', () => states(watcher, 'heal-late').length === 1);
  await until('a user who left meanwhile is reported', () => states(watcher, 'heal-gone').length === 2);
  expect(states(watcher, 'heal-late')).toEqual([true]);
  expect(states(watcher, 'heal-gone')).toEqual([true, false]);
  // a user who stayed was not reported offline in between
  expect(states(watcher, 'heal-far')).toEqual([true]);
  expect(states(watcher, 'heal-near')).toEqual([true]);
});
