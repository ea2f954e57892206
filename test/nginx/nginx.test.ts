/** Two nodes behind the nginx configuration that we ship. */
import { Agent, get as httpGet } from 'node:http';
import { Agent as TlsAgent, get as httpsGet } from 'node:https';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { Crowd } from '../support/crowd.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { assertDense } from '../support/messaging.ts';
import { total } from '../support/metrics.ts';
import { startDns } from '../support/dns.ts';
import { startNginx, type Nginx } from '../support/nginx.ts';
import { freePort } from '../support/processes.ts';
import { spawnServer, type SpawnedServer } from '../support/spawn.ts';
import { connectStock, openStock, text, type StockClient, type StockOptions } from '../support/stock-client.ts';
import { testSecret, tokenOf } from '../support/test-token.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let ports: readonly [number, number];
let nodes: [SpawnedServer, SpawnedServer];
let nginx: Nginx;
const clients: StockClient[] = [];

function startNode(n: 0 | 1, more: Record<string, string> = {}): Promise<SpawnedServer> {
  return spawnServer({
    DATABASE_URL: database.url,
    REDIS_URL: inject('redisUrl'),
    PARLEY_REDIS_PREFIX: 'nginx:',
    PARLEY_JWT_SECRET: testSecret,
    PARLEY_HOST: '127.0.0.1',
    PARLEY_NODE: `n${n + 1}`,
    PARLEY_DRAIN_MS: '1500',
    PARLEY_TRUSTED_PROXIES: '127.0.0.1',
    PARLEY_DATABASE_POOL_SIZE: '4',
    PORT: String(ports[n]),
    ...more,
  });
}

async function end(node: SpawnedServer): Promise<void> {
  if (node.ended() !== undefined) return;
  node.kill('SIGTERM');
  node.kill('SIGTERM');
  await node.exit();
}

beforeAll(async () => {
  database = await createTestDatabase();
  ports = [await freePort(), await freePort()];
});
beforeEach(async () => {
  nodes = await Promise.all([startNode(0), startNode(1)]);
  nginx = await startNginx(ports);
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await nginx.stop();
  await Promise.all(nodes.map(end));
});
afterAll(() => database.drop());

async function connect(user: string, options: StockOptions = {}, url = nginx.url): Promise<StockClient> {
  const connected = await connectStock(url, await tokenOf(user), { reconnection: true, ...options });
  clients.push(connected);
  return connected;
}

const agentOf = (localAddress: string): Agent => new Agent({ localAddress });
const from = (address: string, claimed: string): StockOptions => ({
  agent: agentOf(address),
  headers: { 'X-Forwarded-For': claimed },
  reconnection: false,
});
const nodeOf = (of: StockClient): string => of.received('ready').at(-1)?.node ?? '';
const transportOf = ({ socket }: StockClient): string => socket.io.engine.transport.name;

it('spreads WebSockets over the nodes, keeps polling sessions on one, and lets them upgrade', async () => {
  const sockets: StockClient[] = [];
  for (let n = 0; n < 20; n++) sockets.push(await connect(`ws-${n}`));
  const perNode = ['n1', 'n2'].map((node) => sockets.filter((one) => nodeOf(one) === node).length);
  // fewest connections first, and nothing else is connected
  expect(perNode).toEqual([10, 10]);

  const polling: StockClient[] = [];
  for (let n = 0; n < 12; n++)
    polling.push(await connect(`poll-${n}`, { transports: ['polling'], agent: agentOf(`127.0.0.${2 + n}`) }));
  const upgrading: StockClient[] = [];
  for (let n = 0; n < 12; n++)
    upgrading.push(
      await connect(`both-${n}`, { transports: ['polling', 'websocket'], agent: agentOf(`127.0.0.${2 + n}`) }),
    );
  await until('all have upgraded', () => upgrading.every((one) => transportOf(one) === 'websocket'));
  expect(upgrading.map(nodeOf)).toEqual(polling.map(nodeOf));
  expect(new Set(polling.map(nodeOf))).toEqual(new Set(['n1', 'n2']));

  await polling[0]?.ok('room:create', { kind: 'channel', id: 'near', name: 'Near' });
  for (const one of [...sockets, ...polling, ...upgrading]) {
    await one.ok('room:join', { room: 'near' });
    await one.ok('message:send', text('near', 'x'.repeat(10_000)));
  }
  const { rooms } = await (sockets[3] as StockClient).ok('sync', { cursors: { near: 0 }, limit: 100 });
  expect(rooms['near']?.messages.map(({ seq }) => seq)).toEqual(Array.from({ length: 44 }, (_, n) => n + 1));
  expect(polling.map(transportOf)).toEqual(polling.map(() => 'polling'));
  expect([...polling, ...upgrading].map((one) => one.received('ready').length)).toEqual(Array(24).fill(1));
}, 90_000);

it('gives the nodes the address of the client, not the one that the client claims', async () => {
  await Promise.all(nodes.map(end));
  nodes = [await startNode(0, { PARLEY_MAX_CONNECTIONS_PER_ADDRESS: '2' }), await startNode(1)];
  await end(nodes[1]);
  await connect('a', from('127.0.0.2', '10.1.1.1'));
  await connect('b', from('127.0.0.2', '10.1.1.2'));
  const third = openStock(nginx.url, { token: await tokenOf('c') }, from('127.0.0.2', '10.1.1.3'));
  clients.push(third);
  await new Promise((resolve) => third.socket.once('connect_error', resolve));
  const metrics = await nodes[0].metrics();
  expect(metrics.get('parley_handshakes_refused_total{reason="address"}')).toBe(1);
  // another address, though it says it is the first
  await connect('d', from('127.0.0.3', '127.0.0.2'));
}, 60_000);

const statusFrom = (localAddress: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const request = httpGet(`${nginx.url}/health`, { localAddress, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('error', reject);
  });

it('answers 429 to one address that asks more than it may, and serves the others', async () => {
  const statuses = new Set<number>();
  // 400 at once and 200 a second are let through
  for (let round = 0; round < 100 && !statuses.has(429); round++)
    for (const status of await Promise.all(Array.from({ length: 100 }, () => statusFrom('127.0.0.4'))))
      statuses.add(status);
  expect([...statuses].toSorted()).toEqual([200, 429]);
  expect(await statusFrom('127.0.0.5')).toBe(200);
}, 60_000);

it('serves REST and TLS, keeps what is for operators inside, and no token in its log', async () => {
  expect((await fetch(`${nginx.url}/health`)).status).toBe(200);
  for (const path of ['/metrics', '/ready', '/metrics/', '/Ready', '//metrics'])
    expect([path, (await fetch(`${nginx.url}${path}`)).status]).toEqual([path, 404]);
  const token = await tokenOf('ann');
  const plain = openStock(nginx.url, { token }, { query: { token } });
  clients.push(plain);
  await plain.event('ready');
  const agent = new TlsAgent({ rejectUnauthorized: false });
  const secure = await connect('tess', { agent }, nginx.tlsUrl);
  const { room } = await secure.ok('room:create', { kind: 'group', name: 'Over TLS' });
  expect((await secure.ok('message:send', text(room.id, 'x'))).seq).toBe(1);
  secure.close();
  await until('it is logged', () => nginx.accessLog().includes('"GET /socket.io/" 101'));
  expect(nginx.accessLog()).not.toContain('token=');
  expect(nginx.accessLog()).not.toContain(token.slice(0, 20));
  const overIpv6 = await connect('vera', {}, nginx.url6);
  expect(nodeOf(overIpv6)).toMatch(/^n[12]$/);
  expect((await tlsHeader('strict-transport-security')) ?? '').toBe('max-age=300');
}, 60_000);

const tlsHeader = (name: string): Promise<string | undefined> =>
  new Promise((resolve, reject) => {
    const options = { rejectUnauthorized: false, agent: false } as const;
    const request = httpsGet(`${nginx.tlsUrl}/health`, options, (response) => {
      response.resume();
      resolve(String(response.headers[name]));
    });
    request.on('error', reject);
  });

/** @returns the statuses of handshakes over long-polling, one after the other */
async function handshakes(count: number): Promise<number[]> {
  const statuses: number[] = [];
  for (let n = 0; n < count; n++)
    statuses.push((await fetch(`${nginx.url}/socket.io/?EIO=4&transport=polling`)).status);
  return statuses;
}

it('writes no token when all nodes are unavailable, at any level of its log', async () => {
  await nginx.stop();
  nginx = await startNginx(ports, { errorLevel: 'debug' });
  await Promise.all(nodes.map(end));
  const secret = 'eyJhbGciOiJIUzI1NiJ9.c2VjcmV0';
  for (const path of ['/socket.io/?EIO=4&transport=polling&', '/socket.io?', '/?', '/api/v1/x?', '/metrics?', '/%?'])
    for (const method of ['GET', 'POST'])
      await fetch(`${nginx.url}${path}token=${secret}`, { method }).then((answer) => answer.body?.cancel());
  await until('it is logged', () => nginx.accessLog().includes('"GET /socket.io/" 502'));
  expect(nginx.accessLog()).not.toContain(secret.slice(0, 10));
  expect(nginx.errorLog()).not.toContain(secret.slice(0, 10));
  // The access log says what failed: no node took the connection.
  expect(nginx.accessLog()).toMatch(/"GET \/socket\.io\/" 502 .*"127\.0\.0\.1:\d+, 127\.0\.0\.1:\d+/);
}, 60_000);

it('writes no token of a server that an operator adds without a log of its own', async () => {
  await nginx.stop();
  nginx = await startNginx(ports, { beside: 'server { listen PORT; location / { return 204; } }' });
  const secret = 'eyJhbGciOiJIUzI1NiJ9.c2VjcmV0';
  expect((await fetch(`${nginx.besideUrl}/added?token=${secret}`)).status).toBe(204);
  await until('it is logged', () => nginx.accessLog().includes('"GET /added" 204'));
  expect(nginx.accessLog()).not.toContain(secret.slice(0, 10));
}, 60_000);

it('serves new handshakes while the nodes restart in turn, quicker than fail_timeout', async () => {
  for (const round of [1, 2]) {
    for (const n of [0, 1] as const) {
      await end(nodes[n]);
      // Enough to have it left out of every group.
      expect([round, n, await handshakes(24)]).toEqual([round, n, Array(24).fill(200)]);
      expect((await fetch(`${nginx.url}/health`)).status).toBe(200);
      nodes[n] = await startNode(n);
    }
  }
  // A POST that no node has taken goes to another node too.
  await end(nodes[0]);
  const guest = await fetch(`${nginx.url}/api/v1/auth/guest`, { method: 'POST', body: '{"name":"x"}' });
  expect(guest.status).toBe(403);
}, 120_000);

it('starts and serves while a name of a node has no address, and uses the node once it has one', async () => {
  await nginx.stop();
  const known = new Map([['parley-a.test', '127.0.0.1']]);
  const dns = await startDns(known);
  try {
    const hosts = [`parley-a.test:${ports[0]}`, `parley-b.test:${ports[1]}`];
    nginx = await startNginx(ports, { names: { hosts, resolver: dns.address } });
    expect(await handshakes(24)).toEqual(Array(24).fill(200));
    const one = await connect('ann', { transports: ['websocket'] });
    expect(nodeOf(one)).toBe('n1');
    known.set('parley-b.test', '127.0.0.1');
    await until(
      'the second node is in use',
      async () => {
        clients.pop()?.close();
        return nodeOf(await connect('ben', { transports: ['websocket'] })) === 'n2';
      },
      30_000,
    );
    known.delete('parley-a.test');
    await end(nodes[0]);
    expect(await handshakes(24)).toEqual(Array(24).fill(200));
  } finally {
    await dns.stop();
  }
}, 90_000);

it('hides a restart of both nodes, one after the other, from clients that send', async () => {
  const crowd = await Crowd.enter({ url: nginx.url, users: 60, rooms: 6, transports: ['polling', 'websocket'] });
  await until('all send', () => crowd.acks > 200);
  for (const n of [0, 1] as const) {
    const { acks } = crowd;
    nodes[n].kill('SIGTERM');
    expect(await nodes[n].exit()).toEqual({ code: 0, signal: null });
    nodes[n] = await startNode(n);
    await until('they send on', () => crowd.acks > acks + 200);
    // nginx leaves a node out for ten seconds after it failed; the next one may go only when this one is in use again
    await until(
      'the new one has connections',
      async () => {
        clients.splice(0, 1)[0]?.close();
        await connect('probe');
        return total(await nodes[n].metrics(), 'parley_connections') > 0;
      },
      30_000,
    );
  }
  const report = await crowd.leave(database.sql);
  expect(report.faults).toEqual([]);
  expect(report.reconnects).toBeGreaterThanOrEqual(60);
  await assertDense(database.sql);
}, 180_000);

it('brings the clients of a node that was killed to the other one', async () => {
  const all: StockClient[] = [];
  for (let n = 0; n < 20; n++) all.push(await connect(`ws-${n}`));
  const lost = all.filter((one) => nodeOf(one) === 'n1');
  expect(lost).toHaveLength(10);
  let refused = 0;
  for (const { socket } of all) socket.on('connect_error', () => refused++);
  nodes[0].kill('SIGKILL');
  await nodes[0].exit();
  await until('they are back', () => all.every((one) => one.socket.connected && nodeOf(one) === 'n2'), 30_000);
  expect(lost.map((one) => one.received('ready').length)).toEqual(Array(10).fill(2));
  // the handshakes that met the dead node were given to the other one by nginx
  expect(refused).toBe(0);
  const [one] = lost as [StockClient];
  const { room } = await one.ok('room:create', { kind: 'group', name: 'After' });
  expect((await one.ok('message:send', text(room.id, 'x'))).seq).toBe(1);
}, 60_000);
