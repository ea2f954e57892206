import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { inject } from 'vitest';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startApp } from '../../src/app.ts';
import { loadConfig, withRoles } from '../../src/config/config.ts';
import { startWorkerProcess } from '../../src/worker-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { openLanesOf } from '../support/lanes.ts';
import { readMetrics } from '../support/metrics.ts';
import { testSecret } from '../support/server.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const env = () => ({
  DATABASE_URL: database.url,
  REDIS_URL: inject('redisUrl'),
  PARLEY_REDIS_PREFIX: `test-${randomBytes(6).toString('hex')}:`,
  PARLEY_JWT_SECRET: testSecret,
  PARLEY_LOG_LEVEL: 'silent',
  PARLEY_HOST: '127.0.0.1',
  PORT: '0',
  PARLEY_ADMIN_PORT: '0',
  PARLEY_DRAIN_MS: '0',
});
const fail = (error: Error): never => {
  throw error;
};

/** Without `fetch`, which reads the document of REST from the server. */
async function statusOf(url: string): Promise<number | undefined> {
  const [response] = (await once(get(url), 'response')) as [IncomingMessage];
  response.resume();
  return response.statusCode;
}

it('runs jobs in a process with the role worker alone, which serves no client', async () => {
  const variables = env();
  const config = loadConfig(variables);
  const server = await startApp(withRoles(config, 'gateway,api'), fail);
  const opened = await openLanesOf({
    redisUrl: variables.REDIS_URL,
    prefix: variables.PARLEY_REDIS_PREFIX,
  });
  await opened.lanes.add([{ id: 'a', lane: 'high', kind: 'of no version', data: null }]);
  expect((await opened.lanes.depths()).high).toMatchObject({ waiting: 1 });
  const worker = await startWorkerProcess(withRoles(config, 'worker'), fail);
  const url = worker.adminUrl ?? '';
  const failed = 'parley_lane_jobs_total{lane="high",outcome="failed"}';
  await until('the worker ran the job', async () => ((await readMetrics(url)).get(failed) ?? 0) > 0);
  expect((await fetch(`${url}/ready`)).status).toBe(200);
  expect((await fetch(`${url}/socket.io/?EIO=4&transport=polling`)).status).toBe(404);
  expect(await statusOf(`${url}/api/v1/rooms`)).toBe(404);
  const ofServer = await readMetrics(server.adminUrl ?? '');
  expect([...ofServer.keys()].filter((name) => /^parley_lane_(jobs|depth)/.test(name))).toEqual([]);
  await worker.stop();
  await opened.close();
  await server.stop();
}, 120_000);

it('refuses roles that no process can have', async () => {
  const config = loadConfig(env());
  for (const roles of ['', 'gateway', 'api,worker', 'workers'])
    expect(() => withRoles(config, roles)).toThrow('expected `gateway,api,worker`, `gateway,api` or `worker`');
  const lone = loadConfig({ DATABASE_URL: database.url, PARLEY_JWT_SECRET: testSecret, PARLEY_ROLES: 'worker' });
  await expect(startWorkerProcess(lone, fail)).rejects.toThrow('needs DATABASE_URL and REDIS_URL');
});
