/** `parley inspect`, beside two nodes. `npm run build` must have been run. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { lineOf } from '../../src/cli/inspect.ts';
import { startCluster, type Cluster } from '../support/cluster.ts';
import { testSecret } from '../support/server.ts';
import { runProgram } from '../support/spawn.ts';
import { until } from '../support/until.ts';

it.each([
  [['inspect'], {}, 'inspect needs room ROOM or connection ID'],
  [['inspect', 'room', 'a b'], {}, 'needs a valid id of a room'],
  [['inspect', 'room', 'a', 'b'], {}, 'inspect needs room ROOM or connection ID'],
  [['inspect', 'connection', 'a'], {}, 'set REDIS_URL'],
  [
    ['inspect', 'connection', 'a'],
    { DATABASE_URL: 'postgres://h/d', REDIS_URL: 'redis://127.0.0.1:1' },
    'Redis does not answer',
  ],
] as [string[], Record<string, string>, string][])('%j is refused in plain words', async (args, env, message) => {
  const { code, stdout, stderr } = await runProgram(args, env);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain(message);
  expect(stderr).not.toMatch(/^ {4}at /m);
});

it('a line shows no control characters of another node', () => {
  const facts = {
    user: 'ann',
    since: 0,
    rooms: 1,
    unsentBytes: 5,
    quiet: true,
    off: ['r'],
    address: '::1',
    device: '\u001b[2J',
    agent: null,
  };
  expect(lineOf(facts)).toBe('ann  1970-01-01T00:00:00.000Z  ::1  \\u001b[2J  -  rooms 1  unsent 5  quiet yes  off r');
  expect(lineOf({ head: 3, gap: { wanted: 9, failures: 2 }, held: 4, subscribers: 2, users: 1, off: 1 })).toBe(
    'rev 3  gap up to rev 9, 2 failed reads  held 4  subscribers 2  users 1  off 1',
  );
});

describe('parley inspect beside two nodes', () => {
  let cluster: Cluster;
  let env: Record<string, string>;
  const inspect = async (...args: string[]): Promise<string[]> => {
    const { code, stdout, stderr } = await runProgram(['inspect', ...args], env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return stdout.trimEnd().split('\n');
  };
  beforeAll(async () => {
    cluster = await startCluster(2);
    env = {
      DATABASE_URL: cluster.database.url,
      REDIS_URL: inject('redisUrl'),
      PARLEY_REDIS_PREFIX: cluster.prefix,
      PARLEY_JWT_SECRET: testSecret,
    };
  });
  afterAll(() => cluster.stop());

  it('shows the head of a room in Postgres and on each node', { timeout: 60_000 }, async () => {
    const [ann, again] = [await cluster.connect(0, 'ann'), await cluster.connect(0, 'ann')];
    const ben = await cluster.connect(1, 'ben');
    await ann.ok('room:create', { id: 'inspected', kind: 'channel', name: 'Inspected' });
    await ann.ok('message:send', { room: 'inspected', id: crypto.randomUUID(), body: { text: 'one' } });
    const [, , second] = await inspect('room', 'inspected');
    expect(second).toBe('node-1  no subscribers');
    await ben.ok('room:join', { room: 'inspected' });
    await until('both nodes have the head', async () => {
      const lines = await inspect('room', 'inspected');
      const rev = / rev (\d+)/.exec(lines[0] ?? '')?.[1] ?? '';
      return lines.length === 3 && lines.slice(1).every((line) => line.includes(`rev ${rev} `));
    });
    const [stored, ...nodes] = await inspect('room', 'inspected');
    expect(stored).toMatch(/^Postgres {2}channel {2}rev \d+ {2}seq 1 {2}first seq 1 {2}members 2$/);
    expect(nodes).toEqual([
      expect.stringMatching(/^node-0 {2}rev \d+ {2}gap none {2}held 0 {2}subscribers 2 {2}users 1 {2}off 0$/),
      expect.stringMatching(/^node-1 {2}rev \d+ {2}gap none {2}held 0 {2}subscribers 1 {2}users 1 {2}off 0$/),
    ]);
    expect(await inspect('room', 'inspected', '--node', 'node-1')).toHaveLength(2);
    expect((await inspect('room', 'inspected', '--node', 'none')).at(-1)).toBe('There is no live node none.');
    expect((await runProgram(['inspect', 'room', 'absent'], env)).stderr).toBe('The database has no room absent.\n');
    again.close();
  });

  it('shows a connection and its node', { timeout: 60_000 }, async () => {
    const client = await cluster.connect(1, 'cid');
    const session = client.received('ready')[0]?.session ?? '';
    expect(await inspect('connection', session)).toEqual([
      expect.stringMatching(/^node-1 {2}cid {2}\S+Z {2}\S+ {2}- {2}.* {2}rooms 0 {2}unsent 0 {2}quiet no {2}off none$/),
    ]);
    expect(await inspect('connection', session, '--node', 'node-0')).toEqual([
      `No node has the connection ${session}.`,
    ]);
  });

  const last = async (): Promise<string | undefined> => (await inspect('room', 'inspected')).at(-1);

  // A cut node counts as live for some seconds only, and a command takes as long as that on a busy machine.
  it('names a node that does not answer', { timeout: 120_000 }, async () => {
    const [, node] = cluster.nodes;
    try {
      await until(
        'the node is named',
        async () => {
          node?.redis.restore();
          await until('the node answers', async () => (await last())?.startsWith('node-1 '), 60_000);
          node?.redis.cut();
          return (await last()) === 'No answer from: node-1';
        },
        90_000,
      );
    } finally {
      node?.redis.restore();
    }
  });
});
