import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { total } from '../support/metrics.ts';
import { testSecret, tokenOf } from '../support/server.ts';
import { spawnServer, type SpawnedServer } from '../support/spawn.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';
import { textFrame, upgradeRequest } from '../support/ws-frame.ts';

const attacks = 2000;
const atOnce = 50;
let database: TestDatabase;
let server: SpawnedServer;
let neighbour: StockClient;

beforeAll(async () => {
  database = await createTestDatabase();
  server = await spawnServer({
    DATABASE_URL: database.url,
    PARLEY_JWT_SECRET: testSecret,
    PARLEY_COMMANDS_PER_SECOND: '100000',
    PARLEY_COMMAND_BURST: '100000',
  });
  neighbour = await connectStock(server.url, await tokenOf('neighbour'));
  await neighbour.ok('room:create', { kind: 'channel', name: 'Calm', id: 'calm' });
});
afterAll(async () => {
  neighbour.close();
  server.kill('SIGTERM');
  await server.exit();
  await database.drop();
});

const handshake = upgradeRequest('/socket.io/?EIO=4&transport=websocket');

/** Connects, goes as far as the stage, and resets the connection. */
function attack(stage: number, token: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.on('error', () => {});
    socket.once('close', () => resolve());
    const reset = () => socket.resetAndDestroy();
    const join = textFrame(`40{"token":"${token}"}`);
    socket.once('connect', () => {
      switch (stage) {
        case 0:
          return reset();
        case 1:
          return void socket.write(handshake.slice(0, 60), reset);
        case 2:
          return void socket.write(handshake, reset);
        case 3:
          socket.write(handshake);
          return whenReceived(socket, '0{"sid"', reset);
        case 4:
          socket.write(handshake);
          // the token is being checked, or the rooms are being read
          return whenReceived(socket, '0{"sid"', () => socket.write(join, reset));
        case 5:
          socket.write(handshake);
          return whenReceived(socket, '0{"sid"', () => {
            socket.write(join);
            // an answer is under way when it is gone
            whenReceived(socket, '42["ready"', () =>
              socket.write(textFrame('420["room:join",{"room":"calm"}]'), reset),
            );
          });
        default:
          socket.write(handshake);
          return whenReceived(socket, '0{"sid"', () => socket.write(join.subarray(0, 30), () => socket.destroy()));
      }
    });
  });
}

function whenReceived(socket: Socket, expected: string, then: () => void): void {
  let received = '';
  socket.setEncoding('latin1').on('data', (part: string) => {
    received += part;
    if (!received.includes(expected)) return;
    socket.removeAllListeners('data');
    then();
  });
}

async function attackTimes(times: number): Promise<void> {
  const token = await tokenOf('mallory');
  let next = 0;
  const worker = async () => {
    while (next < times) await attack(next++ % 7, token);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

it(`${attacks} connects and resets leave nothing behind, and a neighbour is served throughout`, async () => {
  const onlyNeighbour = async () => (await server.metrics()).get('parley_connections') === 1;
  await attackTimes(700); // what is compiled and cached once is there from now on
  await until('the first attackers are forgotten', onlyNeighbour);
  const before = (await server.metrics()).get('process_resident_memory_bytes') ?? 0;

  let attacking = true;
  let served = 0;
  const serve = async () => {
    while (attacking) {
      const { seq } = await neighbour.ok('message:send', text('calm', served));
      expect(seq).toBe(++served);
    }
  };
  const serving = serve();
  await attackTimes(attacks);
  attacking = false;
  await serving;

  expect(served).toBeGreaterThan(0);
  await until('all that was sent is heard', () => neighbour.received('message').length === served);
  await until('the attackers are forgotten', onlyNeighbour);
  const after = await server.metrics();
  expect(total(after, 'parley_internal_errors_total')).toBe(0);
  expect(total(after, 'parley_connections_opened_total')).toBeGreaterThan(attacks / 2);
  expect(after.get('process_resident_memory_bytes')).toBeLessThan(before + 64 * 1024 * 1024);
  expect(neighbour.socket.connected).toBe(true);
  expect(server.ended()).toBeUndefined();
  expect(server.stderr()).toBe('');
}, 90_000);
