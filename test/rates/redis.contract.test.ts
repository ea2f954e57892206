import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { RedisRates } from '../../src/rates/redis.ts';
import { windowParts, type Rate } from '../../src/rates/rates.ts';
import { openRedis, type RedisLink } from '../../src/storage/redis.ts';
import { ratesContract } from '../contract/rates.contract.ts';
import { silentLog } from '../support/messaging.ts';
import { until } from '../support/until.ts';

let link: RedisLink;
beforeAll(async () => {
  link = await openRedis({ url: inject('redisUrl'), log: silentLog });
});
afterAll(() => link.close());

ratesContract('Redis', () => new RedisRates(link, 'rates-test:'));

it('keeps at most one number for each part of the window, and nothing after it', async () => {
  const rates = new RedisRates(link, 'rates-test:');
  const key = crypto.randomUUID();
  const short: Rate = { limit: 1_000_000, windowMs: 400 };
  let most = 0;
  const end = performance.now() + 1000;
  while (performance.now() < end) {
    await rates.take(key, 1, short);
    most = Math.max(most, await link.commands.hlen(`rates-test:rate:${key}`));
  }
  expect(most).toBeLessThanOrEqual(windowParts + 1);
  await until('it is gone', async () => (await link.commands.exists(`rates-test:rate:${key}`)) === 0);
});
