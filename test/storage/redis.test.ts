import { afterEach, expect, it } from 'vitest';
import { openRedis, type RedisLink } from '../../src/storage/redis.ts';
import { StartupError } from '../../src/startup-error.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { startProxy } from '../support/proxy.ts';
import { startRedis, type Service } from '../support/services.ts';
import { until } from '../support/until.ts';

const log = createLog({ level: 'silent', pretty: false, node: 'test' });
const cleanUp: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step();
});

async function open(url: string, waitMs?: number): Promise<RedisLink> {
  const link = await openRedis({ url, log, ...(waitMs === undefined ? {} : { waitMs }) });
  cleanUp.push(() => link.close());
  return link;
}

async function own(): Promise<Service> {
  const redis = await startRedis();
  cleanUp.push(() => redis.stop());
  return redis;
}

async function behindProxy() {
  const redis = await own();
  const proxy = await startProxy(redis.url);
  cleanUp.push(() => proxy.close());
  return proxy;
}

it('is up while Redis answers; cut off from Redis it is unavailable, and commands fail at once', async () => {
  const proxy = await behindProxy();
  const link = await open(proxy.url);
  const changes: boolean[] = [];
  link.onChange((up) => changes.push(up));
  expect(link.up).toBe(true);
  proxy.cut();
  await until('it is unavailable', () => !link.up);
  await expect(link.commands.get('x')).rejects.toThrow();
  proxy.restore();
  await until('it is back', () => link.up);
  expect(changes).toEqual([false, true]);
  expect(await link.commands.ping()).toBe('PONG');
});

it('names each use of Redis as the metric does', async () => {
  const link = await open((await own()).url);
  expect(link.states()).toEqual({ events: true, keys: true });
  // the label became `interop` once, which no alert of an operator knows
  link.openSubscriber('door');
  await until('the door is open', () => link.states().door === true);
  expect(Object.keys(link.states())).toEqual(['events', 'keys', 'door']);
});

it('notices a network that swallows packets, and makes subscriptions again', async () => {
  const proxy = await behindProxy();
  const link = await open(proxy.url);
  const received: string[] = [];
  link.subscriber.on('message', (channel, text) => void (channel === 'news' && received.push(text)));
  await link.subscriber.subscribe('news');
  proxy.swallow();
  await until('it is unavailable', () => !link.up);
  proxy.restore();
  await until('it is back', () => link.up);
  await link.commands.publish('news', 'hello');
  await until('the message arrives', () => received.length > 0);
  expect(received).toEqual(['hello']);
});

it('starts as unavailable without a Redis', async () => {
  const link = await open('redis://127.0.0.1:1', 100);
  expect(link.up).toBe(false);
});

it('refuses to start with a wrong password', async () => {
  const redis = await own();
  const link = await open(redis.url);
  await link.commands.config('SET', 'requirepass', 'secret');
  const refused = openRedis({ url: redis.url, log });
  await expect(refused).rejects.toThrow(StartupError);
  await expect(refused).rejects.toThrow('user or password is wrong (WRONGPASS, NOAUTH) (REDIS_URL)');
  await open(redis.url.replace('redis://', 'redis://:secret@'));
});
