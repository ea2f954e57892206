/** Nodes admit users by themselves and report to the rates afterwards. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { Allowance } from '../../src/rates/allowance.ts';
import { MemoryRates } from '../../src/rates/memory.ts';
import type { Rates } from '../../src/rates/rates.ts';
import { RedisRates } from '../../src/rates/redis.ts';
import { openRedis, type RedisLink } from '../../src/storage/redis.ts';
import { silentLog } from '../support/messaging.ts';
import { until } from '../support/until.ts';

let link: RedisLink;
beforeAll(async () => {
  link = await openRedis({ url: inject('redisUrl'), log: silentLog });
});
afterAll(() => link.close());

const minute = 60_000;
const rateOf = (tier: string | null) => ({ limit: Number(tier), windowMs: minute });
const spend = async (allowance: Allowance, key: string, limit: number): Promise<boolean> => {
  try {
    await allowance.spend(key, String(limit));
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 'rate_limited' });
    expect((error as { retryAfter: number }).retryAfter).toBeGreaterThan(0);
    return false;
  }
};
const newKey = (): string => crypto.randomUUID();
const nodes = (count: number): Allowance[] =>
  Array.from({ length: count }, () => new Allowance({ rates: new RedisRates(link, 'rates-test:'), name: 'a', rateOf }));

describe('an allowance', () => {
  it.each([1, 7, 100])(
    'of one node admits exactly the limit of %i, one after the other or all at once',
    async (limit) => {
      const [node] = nodes(1) as [Allowance];
      const [slow, fast] = [newKey(), newKey()];
      let admitted = 0;
      for (let i = 0; i < limit + 5; i++) if (await spend(node, slow, limit)) admitted++;
      expect(admitted).toBe(limit);
      const all = await Promise.all(Array.from({ length: limit + 50 }, () => spend(node, fast, limit)));
      expect(all.filter(Boolean).length).toBe(limit);
      await node.stop();
    },
  );

  it.each([5, 100])('of three nodes admits at most a tenth of %i more for each', async (limit) => {
    const three = nodes(3);
    const key = newKey();
    const all = await Promise.all(
      three.flatMap((node) => Array.from({ length: limit }, () => spend(node, key, limit))),
    );
    const admitted = all.filter(Boolean).length;
    expect(admitted).toBeGreaterThanOrEqual(limit);
    expect(admitted).toBeLessThanOrEqual(limit + 3 * Math.ceil(limit / 10));
    for (const node of three) expect(await spend(node, key, limit)).toBe(false);
    await Promise.all(three.map((node) => node.stop()));
  });

  it('takes nothing from users that they did not use', async () => {
    const two = nodes(2) as [Allowance, Allowance];
    const key = newKey();
    expect(await spend(two[0], key, 100)).toBe(true);
    await two[0].stop();
    const { remaining } = await new RedisRates(link, 'rates-test:').record(`a:${key}`, 0, {
      limit: 100,
      windowMs: minute,
    });
    expect(remaining).toBe(99);
    await two[1].stop();
  });

  it('is restored in Redis after a flush, for every node that the user is on', async () => {
    const [key, other] = [newKey(), newKey()];
    const rate = { limit: 100, windowMs: minute };
    const open = () => new Allowance({ rates: new RedisRates(link, 'rates-test:'), name: 'a', rateOf });
    const two = [open(), open()] as const;
    const left = async (): Promise<number> =>
      (await new RedisRates(link, 'rates-test:').record(`a:${key}`, 0, rate)).remaining;
    for (let i = 0; i < 30; i++) for (const node of two) await node.spend(key, '100');
    await two[0].spend(other, '100');
    await until('all is reported', async () => (await left()) === 40);
    await link.commands.del(`rates-test:rates:a:${key}`);
    expect(await left()).toBe(100);
    for (const node of two) node.verify();
    await until('both have restored theirs', async () => (await left()) === 40);
    for (const node of two) await node.stop();
    expect(await left()).toBe(40);
  });

  it('asks Redis far less than once a hit', async () => {
    const counted = new MemoryRates();
    let requests = 0;
    const rates: Rates = {
      take: (...args) => (requests++, counted.take(...args)),
      record: (...args) => (requests++, counted.record(...args)),
    };
    const node = new Allowance({ rates, name: 'a', rateOf });
    for (let i = 0; i < 10_000; i++) await node.spend('u', '100000');
    await node.stop();
    expect(requests).toBeLessThan(10);
  });

  it('goes by round trips for users beyond those it may hold', async () => {
    const node = new Allowance({ rates: new MemoryRates(), name: 'a', rateOf, maxAccounts: 1 });
    expect([await spend(node, 'held', 2), await spend(node, 'other', 2)]).toEqual([true, true]);
    expect(node.size).toBe(1);
    expect([await spend(node, 'other', 2), await spend(node, 'other', 2)]).toEqual([true, false]);
    await node.stop();
  });
});
