/** Active connections over nodes that share a Redis. */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, expect, inject, it } from 'vitest';
import { staleMs } from '../../src/presence/activity.ts';
import { RedisActivity } from '../../src/presence/redis-activity.ts';
import { openRedis } from '../../src/storage/redis.ts';
import { silentLog } from '../support/messaging.ts';
import { startOwnRedis } from '../support/services.ts';
import { until } from '../support/until.ts';

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step();
});

const newPrefix = (): string => `test-${randomBytes(6).toString('hex')}:`;

async function startNode(prefix: string, now?: () => number, url = inject('redisUrl')): Promise<RedisActivity> {
  const redis = await openRedis({ url, prefix, log: silentLog });
  cleanUp.push(() => redis.close());
  const activity = new RedisActivity({ redis, prefix, ...(now === undefined ? {} : { now }) });
  cleanUp.push(() => activity.close());
  return activity;
}

/** @returns the rooms that active connections of the user show; undefined: none is active */
async function roomsOf(activity: RedisActivity, user: string): Promise<string[] | undefined> {
  const rooms = (await activity.of(['nobody', user])).get(user);
  return rooms === undefined ? undefined : [...rooms].toSorted();
}

it('a node knows the active connections of other nodes, and the rooms that they show', async () => {
  const prefix = newPrefix();
  const [one, two] = [await startNode(prefix), await startNode(prefix)];
  one.set('ann', 'phone', 'active', 'hall');
  two.set('ann', 'tab', 'active', undefined);
  for (const node of [one, two])
    await until('both connections are known', async () => (await roomsOf(node, 'ann'))?.join(',') === ',hall');
  one.set('ann', 'phone', 'background', 'hall');
  await until('the phone is not active', async () => (await roomsOf(two, 'ann'))?.join(',') === '');
  two.gone('ann', 'tab');
  await until('no connection is active', async () => (await roomsOf(one, 'ann')) === undefined);
});

it('the connections of a dead node count for 45 seconds, and those of a stopped node end at once', async () => {
  const prefix = newPrefix();
  let now = 1_000_000;
  const dead = await startNode(prefix, () => now);
  const stopped = await startNode(prefix, () => now);
  const reader = await startNode(prefix, () => now);
  dead.set('ann', 'phone', 'active', 'hall');
  stopped.set('ben', 'phone', 'active', 'hall');
  await until('both are known', async () => (await reader.of(['ann', 'ben'])).size === 2);
  await stopped.close();
  expect(await roomsOf(reader, 'ben')).toBeUndefined();
  now += staleMs - 1;
  expect(await roomsOf(reader, 'ann')).toEqual(['hall']);
  now += 1;
  expect(await roomsOf(reader, 'ann')).toBeUndefined();
});

it('a node knows its own connections without Redis, and does not wait for it', async () => {
  const service = await startOwnRedis();
  cleanUp.push(() => service.stop());
  const activity = await startNode(newPrefix(), undefined, service.url);
  activity.set('ann', 'phone', 'active', 'hall');
  await service.kill('SIGKILL');
  expect(await roomsOf(activity, 'ann')).toEqual(['hall']);
  activity.gone('ann', 'phone');
  expect(await roomsOf(activity, 'ann')).toBeUndefined();
});

it('entries end in Redis by themselves', async () => {
  const prefix = newPrefix();
  const activity = await startNode(prefix);
  activity.set('ann', 'phone', 'active', 'hall');
  const redis = new Redis(inject('redisUrl'));
  cleanUp.push(() => redis.quit());
  await until('the entry is there', async () => {
    const left = await redis.pttl(`${prefix}active:ann`);
    return left > 0 && left <= staleMs;
  });
});
