/** Jobs and exports in the embedded demo, whose database has one session. `npm run build` must have been run. */
import { connect } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { KeyWithSecret } from '../../../src/protocol/keys.ts';
import { makeDataDir, runProgram, spawnServer, type DataDir, type SpawnedServer } from '../../support/spawn.ts';
import { request } from '../keys-routes.ts';
import { accepted, askJob, ended, jobBy, postImport } from './client.ts';
import { fileOf } from './lines.ts';

const messages = 15_000;
let dataDir: DataDir;
let server: SpawnedServer;
let admin: string;
const start = (): Promise<SpawnedServer> => spawnServer({ PARLEY_DATA_DIR: dataDir.path });
const run = (...args: string[]) => runProgram(args, { PARLEY_DATA_DIR: dataDir.path });

beforeAll(async () => {
  dataDir = makeDataDir();
  server = await start();
  const made = await run('keys', 'create', '--name', 'test', '--scopes', 'admin', '--json');
  admin = (JSON.parse(made.stdout) as KeyWithSecret).text;
});
afterAll(async () => {
  server.kill('SIGTERM');
  expect(await server.exit()).toEqual({ code: 0, signal: null });
  dataDir.remove();
});

it('an import goes on after the process was killed and started again', { timeout: 180_000 }, async () => {
  const job = await accepted(await postImport(server.url, fileOf({ room: 'demo', messages }), { bearer: admin }));
  await jobBy(server.url, admin, job.id, ({ progress }) => (progress['line'] ?? 0) > 1000);
  server.kill('SIGKILL');
  await server.exit();
  server = await start();
  const done = await ended(server.url, admin, job.id);
  expect(done).toMatchObject({ state: 'done', result: { rooms: 1, messages } });
  const last = await request(server.url, 'GET', '/rooms/demo/messages?limit=1&fields=seq', { bearer: admin });
  expect(last.body['items']).toEqual([{ seq: messages }]);
});

it(
  'exports of a room and of all rooms leave, and a reader that stalls holds nobody up',
  { timeout: 180_000 },
  async () => {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    socket.write(
      `GET /api/v1/rooms/demo/export HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: Bearer ${admin}\r\n\r\n`,
    );
    socket.pause();
    const file = await request(server.url, 'GET', '/rooms/demo/export', { bearer: admin });
    expect(file.text.trimEnd().split('\n').at(-1)).toBe(`{"type":"end","rooms":1,"messages":${messages},"blocks":0}`);
    const job = await askJob(server.url, 'POST', '/export', { bearer: admin });
    expect(await ended(server.url, admin, job.id)).toMatchObject({ state: 'done', result: { rooms: 1, messages } });
    const all = await request(server.url, 'GET', `/jobs/${job.id}/result`, { bearer: admin });
    expect(all.text.split('\n').slice(1)).toEqual(file.text.split('\n').slice(1));
    socket.destroy();
  },
);

it('a user is deleted, and a room is purged', { timeout: 180_000 }, async () => {
  const purge = await askJob(server.url, 'POST', '/rooms/demo/purge', {
    bearer: admin,
    body: { before: messages - 10 },
  });
  expect(await ended(server.url, admin, purge.id)).toMatchObject({
    state: 'done',
    result: { messages: messages - 11 },
  });
  const job = await askJob(server.url, 'DELETE', '/users/ann', { bearer: admin });
  expect(await ended(server.url, admin, job.id)).toMatchObject({
    state: 'done',
    result: { known: true, messages: 11 },
  });
});
