/** A node keeps so many questions to the other nodes. One user's lists of sessions, however many, leave some to the others. */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

const prefix = `test-${randomBytes(6).toString('hex')}:`;
let redis: Redis;
let database: TestDatabase;
let home: TestServer;
let other: TestServer;

beforeAll(async () => {
  redis = new Redis(inject('redisUrl'));
  database = await createTestDatabase();
  const env = {
    REDIS_URL: inject('redisUrl'),
    PARLEY_REDIS_PREFIX: prefix,
    PARLEY_COMMANDS_PER_SECOND: '100000',
    PARLEY_COMMAND_BURST: '100000',
    PARLEY_DRAIN_MS: '0',
  };
  home = await startServer({ ...env, PARLEY_NODE: 'home' }, database);
  other = await startServer({ ...env, PARLEY_NODE: 'other' }, database);
});
afterAll(async () => {
  await Promise.all([home.stop(), other.stop()]);
  await database.drop();
  redis.disconnect();
});

it('1,400 requests of a user do not cut off the list of another user', async () => {
  const ann = await connectStock(home.url, await tokenOf('ann'));
  const elsewhere = await connectStock(other.url, await tokenOf('ann'));
  await until('the nodes know each other', async () => (await ann.ok('session:list', {})).sessions.length === 2);
  // a node that lives and does not answer: each list waits for it
  await redis.zadd(`${prefix}presence:nodes`, Date.now() + 600_000, 'silent/1');
  const token = await tokenOf('eve');
  const eves = await Promise.all([1, 2].map(() => connectStock(home.url, token)));
  const requested = eves.flatMap((eve) =>
    Array.from({ length: 700 }, () => eve.socket.emitWithAck('session:list', {})),
  );
  for (const eve of eves) await eve.ok('presence:unwatch', {});
  // two answers of Redis on the way of the questions, which come before them
  for (let n = 0; n < 3; n++) await ann.ok('presence:get', { users: ['ann'] });
  const { sessions, complete } = await ann.ok('session:list', {});
  expect(sessions.map(({ node }) => node).toSorted()).toEqual(['home', 'other']);
  expect(complete).toBe(false);
  expect((await home.metrics()).get('parley_turns_refused_total{place="sessions",limit="user"}')).toBe(1400 - 4 - 800);
  for (const client of [ann, elsewhere, ...eves]) client.close();
  await Promise.allSettled(requested);
});
