/**
 * Clients that hold connections of HTTP: some request again and again and read nothing, others request once and stay. Both
 * are cut off, and the memory of the server does not grow with the requests. `npm run build` must have been run.
 */
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { testSecret } from '../support/server.ts';
import { spawnServer, type SpawnedServer } from '../support/spawn.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let server: SpawnedServer;
const sockets: Socket[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
  server = await spawnServer({
    DATABASE_URL: database.url,
    PARLEY_JWT_SECRET: testSecret,
    PARLEY_HOST: '127.0.0.1',
    PARLEY_DRAIN_MS: '0',
  });
}, 60_000);
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  server.kill('SIGTERM');
  await server.exit();
  await database.drop();
});

const mega = 1024 ** 2;
const head = 'HTTP/1.1\r\nHost: localhost\r\n';
const get = (path: string): string => `GET ${path} ${head}\r\n`;

const resident = async (): Promise<number> => (await server.metrics()).get('process_resident_memory_bytes') ?? 0;

interface Client {
  readonly socket: Socket;
  closed: boolean;
  received: string;
}

async function open(): Promise<Client> {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  sockets.push(socket);
  const client: Client = { socket, closed: false, received: '' };
  socket.on('error', () => (client.closed = true)).on('close', () => (client.closed = true));
  await new Promise((resolve) => socket.once('connect', resolve));
  return client;
}

describe('clients that request and read nothing', () => {
  const connections = 2;
  /** The answers of one connection are at least 250 MB, and the requests alone are more than its sockets hold. */
  const requested = 1_000_000;

  it.each(['/metrics', '/ready', '/health', '/', '/nothing'])(
    'of %s are cut off, and take no memory',
    async (path) => {
      const before = await resident();
      const clients = await Promise.all(Array.from({ length: connections }, open));
      const requests = get(path).repeat(requested);
      for (const { socket } of clients) socket.pause().write(requests);
      let most = 0;
      await until(
        'every connection is closed',
        async () => {
          most = Math.max(most, await resident());
          return clients.every(({ closed }) => closed);
        },
        60_000,
      );
      expect(most - before).toBeLessThan(100 * mega);
      expect((await fetch(`${server.url}/health`)).status).toBe(200);
    },
    90_000,
  );
});

describe.concurrent('a client that requests once and stays', () => {
  const guest = `POST /api/v1/auth/guest ${head}Content-Type: application/json\r\n`;
  it.each([
    ['GET /health', get('/health'), 200],
    ['HEAD /health', `HEAD /health ${head}\r\n`, 200],
    ['GET /ready', get('/ready'), 200],
    ['GET /metrics', get('/metrics'), 200],
    ['GET /', get('/'), 200],
    ['GET of nothing', get('/nothing'), 404],
    ['POST of a body', `${guest}Content-Length: 2\r\n\r\n{}`, 400],
    ['POST of a body that never ends', `${guest}Content-Length: 100\r\n\r\n{}`, 408],
    ['POST of a large body', `${guest}Content-Length: 100000\r\n\r\n${'x'.repeat(100_000)}`, 413],
  ])(
    'is closed after %s',
    async (_, request, status) => {
      const client = await open();
      client.socket.on('data', (data) => (client.received += data.toString('latin1'))).write(request);
      await until('the connection is closed', () => client.closed, 40_000);
      expect(/^HTTP\/1.1 (\d+)/.exec(client.received)?.[1]).toBe(String(status));
    },
    60_000,
  );
});
