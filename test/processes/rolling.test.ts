/** SIGHUP under load: every worker is replaced, nothing that was acknowledged is lost, every client is back. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { assertDense } from '../support/messaging.ts';
import type { Env } from '../support/spawn.ts';
import { until } from '../support/until.ts';
import { Crowd } from '../support/crowd.ts';
import { alive, endGroup, groupEnv, startGroup, type WorkerGroup } from './group.ts';

let database: TestDatabase;
let env: Env;
let group: WorkerGroup | undefined;

beforeAll(async () => {
  database = await createTestDatabase();
  env = groupEnv(database, 'rolling:');
});
afterEach(() => endGroup(group));
afterAll(() => database.drop());

it('replaces the workers one by one under load, twice after two requests, and loses nothing', async () => {
  const server = (group = await startGroup({ ...env, PARLEY_DRAIN_MS: '1500' }));
  const crowd = await Crowd.enter({ url: server.url, users: 200, rooms: 10 });
  const before = server.workers();
  await until('all send', () => crowd.acks > 400);
  server.kill('SIGHUP');
  await until('the first is being replaced', () => server.log('Rolling restart: started.').length === 1);
  for (let again = 0; again < 3; again++) server.kill('SIGHUP');
  await until('both rounds are done', () => server.log('Rolling restart: finished.').length === 2, 90_000);
  const after = server.log('Rolling restart: a worker was replaced.');
  expect(after.map(({ worker }) => worker)).toEqual([1, 2, 1, 2]);
  expect(before.filter(alive)).toEqual([]);
  expect(server.workers().filter(alive)).toHaveLength(2);

  const soFar = crowd.acks;
  await until('all send again', () => crowd.acks > soFar + 400);
  const report = await crowd.leave(database.sql);
  expect(report.faults).toEqual([]);
  expect(report.acked).toBeGreaterThan(800);
  // everybody was on a worker that went, once or twice
  expect(report.reconnects).toBeGreaterThanOrEqual(200);
  await assertDense(database.sql);

  // two rounds and nobody was refused for good: the counts of those that left are still there
  const metrics = await server.metrics();
  expect(metrics.get('parley_commands_total{command="message:send",outcome="ok"}')).toBeGreaterThanOrEqual(
    report.acked,
  );
  server.kill('SIGTERM');
  expect(await server.exit()).toEqual({ code: 0, signal: null });
  expect(server.stderr()).toBe('');
}, 180_000);
