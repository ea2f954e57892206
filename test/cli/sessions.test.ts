/** `parley sessions`, beside servers that run. `npm run build` must have been run. */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { testSecret, tokenOf } from '../support/server.ts';
import { runProgram, spawnServer, type SpawnedServer } from '../support/spawn.ts';
import { connectError, connectStock, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

const sessionOf = (client: StockClient): string => client.received('ready')[0]?.session ?? '';

it.each([
  [['sessions'], {}, 'sessions needs list or revoke'],
  [['sessions', 'list', '--user', 'a b'], {}, 'sessions needs --user U: a user id is'],
  [['sessions', 'list', '--user', 'ann'], {}, 'queries live nodes, and no server answers on the data folder'],
  [['sessions', 'list', '--user', 'ann', '--all'], {}, "Unknown option '--all'"],
  [['sessions', 'list', '--user', 'ann'], { REDIS_URL: 'redis://127.0.0.1:1' }, 'Redis does not answer'],
  [['sessions', 'revoke', '--user', 'ann'], {}, 'needs either --session S or --all'],
  [['sessions', 'revoke', '--user', 'ann', '--session', 's', '--all'], {}, 'needs either --session S or --all'],
] as [string[], Record<string, string>, string][])('%j is refused in plain words', async (args, env, message) => {
  const { code, stdout, stderr } = await runProgram(args, env);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain(message);
  expect(stderr).not.toMatch(/^ {4}at /m);
});

describe.each([
  ['a lone node', false],
  ['nodes that share Redis', true],
])('parley sessions beside %s', (_, shared) => {
  let database: TestDatabase;
  let env: Record<string, string>;
  let server: SpawnedServer;
  const sessions = (...args: string[]) => runProgram(['sessions', ...args], env);
  beforeAll(async () => {
    database = await createTestDatabase();
    const redis = { REDIS_URL: inject('redisUrl'), PARLEY_REDIS_PREFIX: `test-${randomBytes(6).toString('hex')}:` };
    env = { DATABASE_URL: database.url, PARLEY_JWT_SECRET: testSecret, ...(shared ? redis : {}) };
    server = await spawnServer({ ...env, PARLEY_NODE: 'first', PARLEY_DRAIN_MS: '0' });
  });
  afterAll(async () => {
    server.kill('SIGTERM');
    expect(await server.exit()).toEqual({ code: 0, signal: null });
    await database.drop();
  });

  it('ends one session, then all', { timeout: 60_000 }, async () => {
    const [one, two] = [await tokenOf('ann', { name: 'One' }), await tokenOf('ann', { name: 'Two' })];
    const [first, second] = [await connectStock(server.url, one), await connectStock(server.url, two)];
    const bystander = await connectStock(server.url, await tokenOf('ben'));
    expect(await sessions('revoke', '--user', 'ann', '--session', sessionOf(first))).toMatchObject({
      code: 0,
      stdout: `Revoked session ${sessionOf(first)} of ann.\n`,
      stderr: '',
    });
    await until('it is closed', () => !first.socket.connected);
    expect(first.received('session:revoked')).toEqual([{ session: sessionOf(first), reason: 'operator' }]);
    expect((await connectError(server.url, { token: one })).data).toMatchObject({ code: 'unauthorized' });
    expect(await sessions('revoke', '--user', 'ann', '--session', sessionOf(bystander))).toMatchObject({
      code: 1,
      stderr: `User ann has no live session ${sessionOf(bystander)}.\n`,
    });
    expect(second.socket.connected).toBe(true);
    expect(await sessions('revoke', '--user', 'ann', '--all')).toMatchObject({
      code: 0,
      stdout: 'Revoked all tokens of ann.\n',
      stderr: '',
    });
    await until('it is closed', () => !second.socket.connected);
    expect((await connectError(server.url, { token: two })).data).toMatchObject({ code: 'unauthorized' });
    expect(bystander.socket.connected).toBe(true);
    bystander.close();
  });

  if (shared) {
    it('users forget leaves nothing of the user in Redis', async () => {
      const client = await connectStock(server.url, await tokenOf('zoe'));
      const redis = new Redis(inject('redisUrl'));
      const prefix = env['PARLEY_REDIS_PREFIX'] ?? '';
      const there = await connectStock(server.url, await tokenOf('ann-stays'));
      const keys = (): Promise<string[]> => redis.keys(`${prefix}*zoe*`);
      await until('presence has the user', async () => (await keys()).some((key) => key.includes('presence:user:')));
      expect(await runProgram(['users', 'forget', 'zoe'], env)).toMatchObject({ code: 0 });
      expect(client.socket.connected).toBe(false);
      expect((await keys()).filter((key) => key.includes('presence'))).toEqual([]);
      there.close();
      redis.disconnect();
    });

    it('lists sessions', async () => {
      const client = await connectStock(server.url, await tokenOf('cid'), { headers: { 'User-Agent': 'Agent/7' } });
      const { code, stdout } = await sessions('list', '--user', 'cid');
      expect(code).toBe(0);
      expect(stdout.trimEnd().split('\n')).toEqual([
        expect.stringMatching(new RegExp(`^${sessionOf(client)}  \\S+Z  first  \\S+  -  Agent/7$`)),
      ]);
      expect(await sessions('list', '--user', 'nobody')).toMatchObject({
        code: 0,
        stdout: 'User nobody has no live sessions.\n',
      });
      client.close();
    });
  }
});
