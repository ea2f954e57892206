/** `parley cache`, as a function and as a program beside nodes. `npm run build` must have been run. */
import { expect, inject, it } from 'vitest';
import { linesOf, runCache } from '../../src/cli/cache.ts';
import type { CacheOperator } from '../../src/cli/context.ts';
import { MemoryCache } from '../../src/storage/cache/memory.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { cacheLimits, newPrefix, openCacheNode } from '../support/cache.ts';
import { createTestDatabase } from '../support/database.ts';
import { runProgram } from '../support/spawn.ts';

const facts = () => Promise.resolve({ id: 'ann', name: 'Ann' });

async function run(args: string[], cache: CacheOperator): Promise<string[]> {
  const lines: string[] = [];
  await runCache(
    args,
    (work) => work(cache),
    (line) => lines.push(line),
  );
  return lines;
}

it('prints the values of a node and the reads of each kind', async () => {
  const cache = new MemoryCache({ ...cacheLimits, node: 'one', metrics: new Metrics().cache });
  for (let i = 0; i < 4; i++) await cache.read('user', ['ann'], facts);
  const bytes = (await cache.stats()).nodes[0]?.bytes ?? 0;
  expect(await run(['stats'], cache)).toEqual([
    `one  is alone  1 values  ${bytes} bytes  0 loads`,
    '  user  local 3  loaded 1  75 % without a load',
  ]);
});

it('clears everything, or the values of a tag', async () => {
  const cache = new MemoryCache({ ...cacheLimits, node: 'one', metrics: new Metrics().cache });
  const entries = async (): Promise<number | undefined> => (await cache.stats()).nodes[0]?.entries;
  for (const user of ['ann', 'bob']) await cache.read('user', [user], facts);
  expect(await run(['clear', '--tag', 'user:ann'], cache)).toEqual(['Removed the cached values of user:ann.']);
  expect(await entries()).toBe(1);
  expect(await run(['clear'], cache)).toEqual(['Cleared the cache of all nodes.']);
  expect(await entries()).toBe(0);
});

it('says that nothing was cleared where Redis did not take it', async () => {
  const unreachable: CacheOperator = {
    stats: () => Promise.reject(new Error('not used')),
    clear: () => Promise.resolve('here'),
  };
  await expect(run(['clear'], unreachable)).rejects.toThrow('Redis did not take the command');
});

it('shows no control characters of another node', () => {
  const [line] = linesOf({ node: '\u001b[2J', entries: 1, bytes: 2, loading: 3, shared: true, reads: {} });
  expect(line).toBe('\\u001b[2J  shares its values  1 values  2 bytes  3 loads');
});

it.each([
  [['cache'], {}, 'The command cache needs stats or clear'],
  [['cache', 'clear', '--tag', 'everything'], {}, '--tag everything: expected room:R'],
  [['cache', 'stats', 'more'], {}, 'See parley --help'],
  [['cache', 'stats'], {}, 'The command cache finds no node'],
] as [string[], Record<string, string>, string][])('%j is refused in plain words', async (args, env, message) => {
  const { code, stdout, stderr } = await runProgram(args, env);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain(message);
  expect(stderr).not.toMatch(/^ {4}at /m);
});

it('beside running nodes, reports each of them, and clears their values', async () => {
  const database = await createTestDatabase();
  const [{ id }] = await database.sql<[{ id: string }]>`select id from installation_state()`;
  const prefix = newPrefix();
  const node = await openCacheNode(prefix, { node: 'first', installation: id });
  try {
    await node.cache.read('user', ['ann'], facts);
    const env = { DATABASE_URL: database.url, REDIS_URL: inject('redisUrl'), PARLEY_REDIS_PREFIX: prefix };
    const stats = await runProgram(['cache', 'stats'], env);
    expect(stats.stdout).toMatch(/^first {2}shares its values {2}1 values {2}\d+ bytes/);
    expect(stats.stdout).toMatch(/^Redis {2}1 values/m);
    expect(await runProgram(['cache', 'clear'], env)).toMatchObject({
      code: 0,
      stdout: 'Cleared the cache of all nodes.\n',
    });
    expect((await node.cache.stats()).nodes[0]?.entries).toBe(0);
  } finally {
    await node.close();
    await database.drop();
  }
});
