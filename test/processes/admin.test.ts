/** The port of operators with several workers: each worker answers on it, for all of them, and on no other port. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { parseMetrics, type MetricValues } from '../support/metrics.ts';
import { freePort } from '../support/processes.ts';
import { runProgram, type Env } from '../support/spawn.ts';
import { connectStock, type StockClient } from '../support/stock-client.ts';
import { tokenOf } from '../support/test-token.ts';
import { until } from '../support/until.ts';
import { endGroup, groupEnv, startGroup, type WorkerGroup } from './group.ts';

let database: TestDatabase;
let env: Env;
let admin: string;
let group: WorkerGroup | undefined;
const clients: StockClient[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  const port = await freePort();
  admin = `http://127.0.0.1:${port}`;
  env = { ...groupEnv(database, 'admin:'), PARLEY_ADMIN_PORT: String(port) };
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await endGroup(group);
  group = undefined;
});
afterAll(() => database.drop());

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** On a connection of its own: the kernel gives each connection to one of the workers. */
async function get(url: string, path: string): Promise<Answer> {
  const response = await fetch(`${url}${path}`, { headers: { connection: 'close' } });
  return { status: response.status, body: await response.text() };
}

/** The metrics of both workers. A worker of a busy machine may answer later than a second; the metrics count it as silent then. */
const metrics = async (): Promise<MetricValues> =>
  until(
    'both workers answer in time',
    async () => {
      const values = parseMetrics((await get(admin, '/metrics')).body);
      return values.get('parley_workers_silent') === 0 ? values : undefined;
    },
    60_000,
  );

/** The first answer to `/ready` whose checks were answered in time. */
const ready = async (url: string, expected: RegExp): Promise<Answer> =>
  until(
    `${url} is ready`,
    async () => {
      const answer = await get(url, '/ready');
      expect(answer.body).toMatch(expected);
      return answer.status === 200 ? answer : undefined;
    },
    60_000,
  );

async function expectAdmin(server: WorkerGroup): Promise<void> {
  for (let n = 0; n < 10; n++) {
    const values = await metrics();
    expect(values.get('parley_workers{state="ready"}')).toBe(2);
    expect(values.get('parley_connections')).toBe(clients.length);
    const { body } = await ready(admin, /"checks":/);
    expect(JSON.parse(body)).toMatchObject({ ready: true, checks: { database: { ok: true } } });
    // the public port says no more than a balancer needs, whichever worker answers
    expect((await get(server.url, '/metrics')).status).toBe(404);
    expect((await ready(server.url, /^\{"ready":(true|false)\}$/)).body).toBe('{"ready":true}');
  }
  for (const path of ['/', '/socket.io/?EIO=4&transport=polling']) expect((await get(admin, path)).status).toBe(404);
}

it('each of two workers answers on the admin port for both, also after one was killed and started again', async () => {
  const server = (group = await startGroup(env));
  for (let n = 0; n < 20; n++)
    clients.push(await connectStock(server.url, await tokenOf(`u-${n}`), { reconnection: true }));
  await expectAdmin(server);
  const [victim = 0] = server.workers();
  process.kill(victim, 'SIGKILL');
  await until('another took its place', () => server.workers()[0] !== victim, 60_000);
  await until('all are counted', async () => (await metrics()).get('parley_connections') === clients.length, 60_000);
  await expectAdmin(server);
  expect((await metrics()).get('parley_worker_restarts_total')).toBe(1);
}, 180_000);

it('a rolling restart keeps the admin port', async () => {
  const server = (group = await startGroup(env));
  const before = server.workers();
  server.kill('SIGHUP');
  await until('both are replaced', () => server.log('Rolling restart: finished.').length === 1, 60_000);
  expect(server.workers().some((pid) => before.includes(pid))).toBe(false);
  await expectAdmin(server);
}, 180_000);

it('an admin port that another process has is refused at the start, with its number', async () => {
  const server = (group = await startGroup(env));
  const { code, stderr } = await runProgram(['serve'], { ...env, PORT: String(await freePort()) });
  expect(code).toBe(1);
  expect(stderr).toContain(new URL(admin).port);
  await expectAdmin(server);
}, 180_000);
