/** Presence over several nodes that share a Redis. */
import { randomBytes } from 'node:crypto';
import { afterEach, expect, inject, it } from 'vitest';
import type { Change } from '../../src/presence/presence.ts';
import { RedisNodes } from '../../src/presence/redis-nodes.ts';
import type { PresenceScripts } from '../../src/presence/redis-scripts.ts';
import { RedisPresence } from '../../src/presence/redis.ts';
import { openRedis, type RedisLink } from '../../src/storage/redis.ts';
import type { Log } from '../../src/telemetry/log.ts';
import { closedGate } from '../support/gate.ts';
import { silentLog } from '../support/messaging.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step();
});

interface Node {
  readonly presence: RedisPresence;
  readonly redis: RedisLink;
  readonly received: Change[];
  readonly resets: { count: number };
  of(user: string): boolean[];
}

async function startNode(prefix: string, node: string, url = inject('redisUrl')): Promise<Node> {
  const redis = await openRedis({ url, log: silentLog });
  cleanUp.push(() => redis.close());
  const received: Change[] = [];
  const resets = { count: 0 };
  const listener = {
    changed: (changes: readonly Change[]) => void received.push(...changes),
    reset: () => void resets.count++,
  };
  const presence = new RedisPresence({ redis, prefix, node, listener, log: silentLog });
  cleanUp.push(() => presence.close());
  await until('it has joined', () => resets.count > 0);
  return {
    presence,
    redis,
    received,
    resets,
    of: (user) => received.filter((change) => change.user === user).map(({ online }) => online),
  };
}

const newPrefix = () => `test-${randomBytes(6).toString('hex')}:`;

it('is one state over the nodes: devices of a user on several of them are one presence', async () => {
  const prefix = newPrefix();
  const [a, b] = [await startNode(prefix, 'a'), await startNode(prefix, 'b')];
  a.presence.arrived('ann');
  await until('both get the change', () => a.of('ann').length === 1 && b.of('ann').length === 1);
  b.presence.arrived('ann');
  b.presence.arrived('ben');
  await until('the fence comes', () => a.of('ben').length === 1);
  a.presence.left('ann');
  a.presence.arrived('cid');
  await until('the fence comes', () => b.of('cid').length === 1);
  expect(b.of('ann')).toEqual([true]);
  expect(await a.presence.read(['ann', 'ben', 'cid', 'dan'])).toMatchObject([
    { online: true },
    { online: true },
    { online: true },
    { online: false },
  ]);
  b.presence.left('ann');
  await until('both get the change', () => a.of('ann').length === 2 && b.of('ann').length === 2);
  expect((await a.presence.read(['ann']))[0]).toMatchObject({ online: false, lastSeen: expect.any(Number) as number });
});

it('takes its users off when it closes, and leaves nothing but when they were last there', async () => {
  const prefix = newPrefix();
  const [a, b] = [await startNode(prefix, 'a'), await startNode(prefix, 'b')];
  for (let i = 0; i < 1200; i++) a.presence.arrived(`u${i}`);
  await until('all are there', () => b.received.length === 1200);
  await a.presence.close();
  await until('all are gone', () => b.received.length === 2400);
  const keys = await b.redis.commands.keys(`${prefix}*`);
  expect(keys.filter((key) => !key.includes('presence:seen:'))).toEqual([`${prefix}presence:nodes`]);
  expect(await b.redis.commands.zrange(`${prefix}presence:nodes`, '0', '-1')).toEqual([b.presence.incarnation]);
  expect(await b.redis.commands.pttl(`${prefix}presence:seen:u7`)).toBeGreaterThan(29 * 24 * 3_600_000);
});

it('has a life for every key', async () => {
  const prefix = newPrefix();
  const a = await startNode(prefix, 'a');
  a.presence.arrived('ann');
  await until('the change is reported', () => a.of('ann').length === 1);
  const keys = await a.redis.commands.keys(`${prefix}*`);
  expect(keys).toHaveLength(3);
  for (const key of keys) expect(await a.redis.commands.pttl(key)).toBeGreaterThan(0);
});

it('writes everything again when Redis has lost it', async () => {
  const prefix = newPrefix();
  const [a, b] = [await startNode(prefix, 'a'), await startNode(prefix, 'b')];
  for (let i = 0; i < 700; i++) a.presence.arrived(`u${i}`);
  await until('all are there', () => b.received.length === 700);
  const before = a.presence.incarnation;
  const keys = await b.redis.commands.keys(`${prefix}*`);
  await b.redis.commands.del(...keys);
  await until('the next heartbeat finds out', async () =>
    (await b.presence.read(['u0', 'u699'])).every((s) => s.online),
  );
  expect(a.presence.incarnation).not.toBe(before);
});

it('reports the users of the node while Redis is unavailable, and writes them when it is back', async () => {
  const prefix = newPrefix();
  const proxy = await startProxy(inject('redisUrl'));
  cleanUp.push(() => proxy.close());
  const a = await startNode(prefix, 'a', proxy.url);
  const b = await startNode(prefix, 'b');
  a.presence.arrived('stays');
  a.presence.arrived('leaves');
  await until('both are there', () => b.of('stays').length === 1 && b.of('leaves').length === 1);
  proxy.cut();
  await until('Redis is unavailable', () => !a.redis.up);
  a.presence.left('leaves');
  a.presence.arrived('comes');
  expect(a.of('leaves').at(-1)).toBe(false);
  expect(a.of('comes').at(-1)).toBe(true);
  expect(await a.presence.read(['stays', 'comes', 'leaves'])).toEqual([
    { online: true },
    { online: true },
    { online: false },
  ]);
  const resets = a.resets.count;
  proxy.restore();
  await until('the other one knows', () => b.of('leaves').at(-1) === false && b.of('comes').at(-1) === true);
  await until('it says that something may have been missed', () => a.resets.count > resets);
  expect(b.of('stays')).toEqual([true]);
});

it('that loses its subscription while it joins does not read the state too early', async () => {
  const redis = await openRedis({ url: inject('redisUrl'), log: silentLog });
  cleanUp.push(() => redis.close());
  /** For each reset, whether changes arrive from then on. */
  const resets: boolean[] = [];
  const listener = { changed: () => undefined, reset: () => void resets.push(redis.up) };
  const presence = new RedisPresence({ redis, prefix: newPrefix(), node: 'a', listener, log: silentLog });
  cleanUp.push(() => presence.close());
  await until('it has joined', () => resets.length > 0);
  const scripts = redis.commands as unknown as PresenceScripts;
  const beat = scripts.parleyPresenceBeat.bind(scripts);
  const gate = closedGate();
  let joining = false;
  scripts.parleyPresenceBeat = async (...args) => {
    joining = true;
    await gate.opened;
    return beat(...args);
  };
  const cut = async (): Promise<void> => {
    redis.subscriber.disconnect(true);
    await until('Redis is unavailable', () => !redis.up);
  };
  await cut();
  await until('it joins', () => joining && redis.up);
  const before = resets.length;
  await cut();
  gate.open();
  await until('it has joined again', () => resets.length > before && resets.at(-1) === true);
});

it('makes no text of what others send by the same connection', async () => {
  const { redis } = await startNode(newPrefix(), 'a');
  const nodes = new RedisNodes({ redis, prefix: newPrefix(), log: silentLog });
  cleanUp.push(() => nodes.close());
  // with one such listener the driver would decode every batch of fan-out for it
  expect(redis.subscriber.listenerCount('message')).toBe(0);
  // the third is the link's own
  expect(redis.subscriber.listenerCount('messageBuffer')).toBe(3);
});

it('takes for dead a node whose heart stands still, once, and in batches', async () => {
  const prefix = newPrefix();
  const proxy = await startProxy(inject('redisUrl'));
  cleanUp.push(() => proxy.close());
  const b = await startNode(prefix, 'b');
  const a = await startNode(prefix, 'a', proxy.url);
  const dead = a.presence.incarnation;
  for (let i = 0; i < 1300; i++) a.presence.arrived(`u${i}`);
  b.presence.arrived('u7');
  await until('all are there', () => b.received.length === 1300);
  proxy.swallow();
  await until('users without another node are gone', () => b.received.filter(({ online }) => !online).length === 1299);
  expect(b.of('u7')).toEqual([true]);
  proxy.restore();
  await until('it is there again, under another name', async () => {
    return a.presence.incarnation !== dead && (await b.presence.read(['u0', 'u1299'])).every(({ online }) => online);
  });
});

it('does not fall over what others say on its channel', async () => {
  const prefix = newPrefix();
  const a = await startNode(prefix, 'a');
  for (const text of ['', '{', '5', 'null', '[5]', '[null]']) {
    await a.redis.commands.publish(`${prefix}presence`, text);
  }
  a.presence.arrived('ann');
  await until('it goes on', () => a.of('ann').length === 1);
});

it('counts what is no message of a node, and warns of it once', async () => {
  const prefix = newPrefix();
  const { redis } = await startNode(prefix, 'a');
  let unreadable = 0;
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (_: object, line: string) => void warnings.push(line) } as unknown as Log;
  const nodes = new RedisNodes({ redis, prefix, log, unreadable: () => unreadable++ });
  cleanUp.push(() => nodes.close());
  await nodes.sessionsOf('nobody');
  const own = (await redis.commands.pubsub('CHANNELS', `${prefix}control:*`)) as string[];
  for (const text of ['', '{', 'null', '5']) for (const name of own) await redis.commands.publish(name, text);
  await until('all are counted', () => unreadable === 4);
  expect(warnings).toEqual(['A message of another node could not be read and is dropped.']);
});

it('restores whatever part of it Redis has lost, within 15 s', { timeout: 60_000 }, async () => {
  const prefix = newPrefix();
  const [a, b] = [await startNode(prefix, 'a'), await startNode(prefix, 'b')];
  const users = Array.from({ length: 700 }, (_, i) => `u${i}`);
  for (const user of users) a.presence.arrived(user);
  await until('all are there', () => b.received.length === users.length);
  const { commands } = b.redis;
  const node = `${prefix}presence:node:${a.presence.incarnation}`;
  // one key, one member of each set, and a member too many, as after the loss of the last seconds
  await commands.del(`${prefix}presence:user:u3`);
  await commands.srem(`${prefix}presence:user:u4`, a.presence.incarnation);
  await commands.srem(node, 'u5');
  await commands.sadd(node, 'stranger');
  await commands.sadd(`${prefix}presence:user:stranger`, a.presence.incarnation);
  expect((await b.presence.read(['u3', 'u4', 'stranger'])).map(({ online }) => online)).toEqual([false, false, true]);
  const right = async (): Promise<boolean> => {
    const states = await b.presence.read([...users, 'stranger']);
    const online = states.filter((state) => state.online).length;
    return online === users.length && states.at(-1)?.online === false && (await commands.scard(node)) === users.length;
  };
  await until('all of it is right', right, 15_000);
  await commands.del(node);
  await until('the lost set is right', right, 15_000);
  // the incarnations are not known any more: the users of none of them count, until it has another name
  await commands.del(`${prefix}presence:nodes`);
  expect((await b.presence.read(['u3']))[0]).toMatchObject({ online: false });
  await until('all are there again', async () => (await b.presence.read(users)).every(({ online }) => online), 15_000);
});

it('writes a doubted user down again at once', async () => {
  const prefix = newPrefix();
  const [a, b] = [await startNode(prefix, 'a'), await startNode(prefix, 'b')];
  a.presence.arrived('ann');
  await until('she is there', () => b.of('ann').length === 1);
  await b.redis.commands.del(`${prefix}presence:user:ann`);
  b.presence.doubt(['ann', 'nobody']);
  await until('she is there again', () => b.of('ann').length === 2, 1500);
  expect(b.of('nobody')).toEqual([]);
  expect((await b.presence.read(['ann']))[0]).toEqual({ online: true });
});

it('reports an absence though Redis has lost the presence', async () => {
  const prefix = newPrefix();
  const [a, b] = [await startNode(prefix, 'a'), await startNode(prefix, 'b')];
  a.presence.arrived('ann');
  await until('she is there', () => b.of('ann').length === 1);
  await b.redis.commands.del(...(await b.redis.commands.keys(`${prefix}presence:*`)));
  a.presence.left('ann');
  await until('it is said', () => b.of('ann').at(-1) === false);
  expect((await b.presence.read(['ann']))[0]).toMatchObject({ online: false, lastSeen: expect.any(Number) as number });
});
