/** A Redis that hangs, forgets, refuses or changes its role under an open link. */
import pino from 'pino';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openRedis, type RedisLink } from '../../src/storage/redis.ts';
import { startProxy } from '../support/proxy.ts';
import { startOwnRedis, type OwnService } from '../support/services.ts';
import { until } from '../support/until.ts';

let server: OwnService;
let admin: Redis;
let lines: string[];
const cleanUp: (() => Promise<unknown> | void)[] = [];

beforeEach(async () => {
  server = await startOwnRedis();
  admin = new Redis(server.url);
  lines = [];
});
afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step();
  admin.disconnect();
  process.kill(server.pid(), 'SIGCONT');
  await server.stop();
});

const log = pino({ base: null, timestamp: false }, { write: (line: string) => void lines.push(line) });
const said = (text: string): number => lines.filter((line) => line.includes(text)).length;

async function open(url = server.url): Promise<RedisLink> {
  const link = await openRedis({ url, prefix: 'states:', log });
  cleanUp.push(() => link.close());
  await until('it is up', () => link.writable);
  return link;
}

/** As when connections end for a reason of the network: what a new one is refused for shows. */
const killAll = () => admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');

it('is unavailable soon after Redis hangs, and commands that wait are rejected', async () => {
  const link = await open();
  process.kill(server.pid(), 'SIGSTOP');
  const waiting = link.commands.get('x').then(
    () => 'answered',
    () => 'rejected',
  );
  await until('it is down', () => !link.up);
  expect(await waiting).toBe('rejected');
  expect(link.problem).toMatch(/does not answer/);
  process.kill(server.pid(), 'SIGCONT');
  await until('it is back', () => link.writable);
  expect([said('does not answer'), said('available again')]).toEqual([1, 1]);
});

it('takes a master that became a replica for unavailable, until it is a master again', async () => {
  const link = await open();
  await admin.replicaof('127.0.0.1', 1);
  await until('it is down', () => !link.up);
  expect(link.problem).toMatch(/replica/);
  expect(link.states()).toEqual({ events: false, keys: false });
  await admin.replicaof('NO', 'ONE');
  await until('it is back', () => link.writable);
  expect(said('is a replica')).toBe(1);
});

it('ends a connection once, however many of its replies are refusals', async () => {
  const link = await open();
  const warnings: Error[] = [];
  const warned = (warning: Error): void => void warnings.push(warning);
  process.on('warning', warned);
  cleanUp.push(() => void process.off('warning', warned));
  await admin.replicaof('127.0.0.1', 1);
  const writes = Array.from({ length: 50 }, (_, n) => link.commands.set(`x${n}`, '1').catch(() => {}));
  await Promise.all(writes);
  await until('it is down', () => !link.up);
  await admin.replicaof('NO', 'ONE');
  await until('it is back', () => link.writable);
  expect(warnings).toEqual([]);
});

it('takes a replica that allows writes for what it is', async () => {
  const link = await open();
  await admin.config('SET', 'replica-read-only', 'no');
  await admin.replicaof('127.0.0.1', 1);
  await until('it is down', () => !link.up);
  expect(link.problem).toMatch(/replica/);
  await admin.replicaof('NO', 'ONE');
  await until('it is back', () => link.up);
});

it.each([
  ['full', ['maxmemory', '1'], ['maxmemory', '0'], 'memory of Redis is full'],
  ['without its replicas', ['min-replicas-to-write', '1'], ['min-replicas-to-write', '0'], 'too few replicas'],
] as const)('passes events on while Redis is %s, and says that it takes no writes', async (_, bad, good, text) => {
  const link = await open();
  const changes: boolean[] = [];
  link.onWritable((writable) => changes.push(writable));
  await admin.config('SET', ...bad);
  await until('it is not writable', () => !link.writable);
  expect(link.up).toBe(true);
  expect(link.problem).toContain(text);
  await admin.config('SET', ...good);
  await until('it is writable', () => link.writable);
  expect(changes).toEqual([false, true]);
  expect(link.problem).toBeUndefined();
  expect([said(text), said('available again')]).toEqual([1, 1]);
});

it('says once that a password is wrong, and comes back when it is right again', async () => {
  const link = await open();
  await admin.config('SET', 'requirepass', 'changed');
  await killAll();
  await until('it knows', () => link.problem?.includes('password') === true);
  const attempts = async (): Promise<number> =>
    Number(/total_connections_received:(\d+)/.exec(await admin.info('stats'))?.[1]);
  const before = await attempts();
  await until('several attempts were refused', async () => (await attempts()) >= before + 9);
  expect([link.up, said('user or password')]).toEqual([false, 1]);
  await admin.config('SET', 'requirepass', '');
  await until('it is back', () => link.writable);
  expect(said('available again')).toBe(1);
});

it.each([
  ['-publish', '+publish', false],
  ['-subscribe', '+subscribe', false],
  ['-eval', '+eval', true],
])('with the permission %s it knows what it cannot do, until %s', async (taken, given, up) => {
  const link = await open();
  await admin.acl('SETUSER', 'default', taken);
  // subscriptions that exist stay
  await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await admin.script('FLUSH');
  await until('it knows', () => link.problem?.includes('NOPERM') === true);
  expect([link.up, link.writable]).toEqual([up, false]);
  await admin.acl('SETUSER', 'default', given);
  await until('it is back', () => link.writable);
});

it('is unavailable while a script of somebody else runs, and back when it has ended', async () => {
  const link = await open();
  await admin.config('SET', 'busy-reply-threshold', '100');
  const other = new Redis(server.url);
  cleanUp.push(() => other.disconnect());
  const running = other.eval('while true do end', 0).catch(() => 'killed');
  await until('it is down', () => !link.up);
  await until('it knows why', () => link.problem?.includes('BUSY') === true);
  await admin.script('KILL');
  expect(await running).toBe('killed');
  await until('it is back', () => link.writable);
});

it('notices that Redis has lost what was written, and that a flush of scripts is no loss', async () => {
  const link = await open();
  let losses = 0;
  link.onLoss(() => losses++);
  await admin.script('FLUSH');
  await admin.set('somebody-elses', '1');
  const probes = async (): Promise<number> => Number(await admin.get((await admin.keys('states:probe:*'))[0] ?? ''));
  const before = await probes();
  await until('two more probes are compared', async () => (await probes()) >= before + 2);
  expect([losses, link.writable]).toEqual([0, true]);
  await admin.flushall();
  await until('it is noticed', () => losses === 1, 2500);
  await admin.eval("for _, key in ipairs(redis.call('KEYS', 'states:probe:*')) do redis.call('SET', key, 1) end", 0);
  await until('a number that went back is noticed', () => losses === 2, 2500);
  await server.kill('SIGKILL');
  await until('it is down', () => !link.up);
  await server.start();
  await until('an empty server in its place is noticed', () => losses === 3);
});

it('says that Redis may evict keys', async () => {
  await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
  const link = await open();
  expect(link.evictionPolicy).toBe('allkeys-lru');
  expect(said('maxmemory-policy allkeys-lru')).toBe(1);
});

it('does not take for available two connections that end at different servers', async () => {
  const second = await startOwnRedis();
  cleanUp.push(() => second.stop());
  const proxy = await startProxy(server.url);
  cleanUp.push(() => proxy.close());
  const link = await open(proxy.url);
  // a name that leads elsewhere now, as seen by the one connection that is made again
  proxy.retarget(second.url);
  await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await until('it is down', () => !link.up);
  await until('both have ended at the second', () => link.writable);
  const other = await open(second.url);
  const received: string[] = [];
  other.subscriber.on('message', (channel, text) => void (channel === 'news' && received.push(text)));
  await other.subscriber.subscribe('news');
  await link.commands.publish('news', 'hello');
  await until('they meet', () => received.length === 1);
});
