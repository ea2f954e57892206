/** The contract of every form of rates, and of nodes that admit by themselves and report afterwards. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { Allowance } from '../../src/rates/allowance.ts';
import { FallbackRates } from '../../src/rates/fallback.ts';
import { MemoryRates } from '../../src/rates/memory.ts';
import { windowParts, type Rate, type Rates } from '../../src/rates/rates.ts';
import { RedisRates } from '../../src/rates/redis.ts';
import { openRedis, type RedisLink } from '../../src/storage/redis.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { until } from '../support/until.ts';

let link: RedisLink;
beforeAll(async () => {
  const log = createLog({ level: 'silent', pretty: false, node: 'test' });
  link = await openRedis({ url: inject('redisUrl'), log });
});
afterAll(() => link.close());

const newKey = (): string => crypto.randomUUID();
const forms: Record<string, () => Rates> = {
  memory: () => new MemoryRates(),
  redis: () => new RedisRates(link, 'rates-test:'),
};

for (const [name, open] of Object.entries(forms)) {
  describe(`rates in ${name}`, () => {
    const rate: Rate = { limit: 5, windowMs: 60_000 };

    it('allow the limit and not one more, and say when there is room again', async () => {
      const rates = open();
      const key = newKey();
      for (let left = 4; left >= 0; left--) {
        expect(await rates.take(key, 1, rate)).toEqual({ allowed: true, remaining: left, resetMs: 0 });
      }
      const refused = await rates.take(key, 1, rate);
      expect(refused).toMatchObject({ allowed: false, remaining: 0 });
      expect(refused.resetMs).toBeGreaterThan(50_000);
      expect(refused.resetMs).toBeLessThanOrEqual(63_000);
      expect((await rates.take(newKey(), 1, rate)).allowed).toBe(true);
    });

    it('count a cost whole or not at all, and not what was refused', async () => {
      const rates = open();
      const key = newKey();
      expect(await rates.take(key, 3, rate)).toMatchObject({ allowed: true, remaining: 2 });
      for (let i = 0; i < 10; i++)
        expect(await rates.take(key, 3, rate)).toMatchObject({ allowed: false, remaining: 2 });
      expect(await rates.take(key, 2, rate)).toMatchObject({ allowed: true, remaining: 0 });
      expect(await rates.take(key, 6, rate)).toMatchObject({ allowed: false, resetMs: 60_000 });
    });

    it('record what has happened, also beyond the limit', async () => {
      const rates = open();
      const key = newKey();
      expect(await rates.record(key, 0, rate)).toEqual({ allowed: true, remaining: 5, resetMs: 0 });
      expect(await rates.record(key, 4, rate)).toEqual({ allowed: true, remaining: 1, resetMs: 0 });
      expect(await rates.record(key, 4, rate)).toMatchObject({ allowed: false, remaining: 0 });
      expect(await rates.record(key, 0, rate)).toMatchObject({ allowed: false, remaining: 0 });
      expect(await rates.take(key, 1, rate)).toMatchObject({ allowed: false, remaining: 0 });
    });

    it('hold in every window of time, wherever it begins', async () => {
      const rates = open();
      const key = newKey();
      const short: Rate = { limit: 10, windowMs: 200 };
      // each between the moment before the request and the moment after the answer
      const admitted: { from: number; to: number }[] = [];
      await until('many were admitted', async () => {
        const from = performance.now();
        if ((await rates.take(key, 1, short)).allowed) admitted.push({ from, to: performance.now() });
        return admitted.length >= 60;
      });
      for (let i = short.limit; i < admitted.length; i++) {
        const first = admitted[i - short.limit]?.from ?? 0;
        // a clock of whole milliseconds on one side
        expect((admitted[i]?.to ?? 0) - first).toBeGreaterThan(short.windowMs - 2);
      }
    });

    it('take back what they have lost of a node, and nothing twice', async () => {
      const key = newKey();
      const minutely: Rate = { limit: 10, windowMs: 60_000 };
      const earlier = [
        { age: 7, count: 3 },
        { age: 2, count: 4 },
      ];
      const emptied = open();
      expect(await emptied.record(key, 1, minutely, earlier)).toMatchObject({ allowed: true, remaining: 2 });
      const now = [...earlier, { age: 0, count: 1 }];
      for (let i = 0; i < 3; i++) expect(await emptied.record(key, 0, minutely, now)).toMatchObject({ remaining: 2 });
      // too old to be in the window for certain: the form may have let go of it rightly
      const old = await open().record(newKey(), 0, minutely, [{ age: windowParts - 1, count: 9 }]);
      expect(old).toMatchObject({ allowed: true, remaining: 10 });
    });

    it('admit again after `resetMs`', async () => {
      const rates = open();
      const key = newKey();
      const short: Rate = { limit: 2, windowMs: 200 };
      await rates.take(key, 2, short);
      const { resetMs } = await rates.take(key, 1, short);
      const received = performance.now() + resetMs;
      await until('the time has passed', () => performance.now() > received + 2);
      expect((await rates.take(key, 1, short)).allowed).toBe(true);
    });
  });
}

describe('rates in memory', () => {
  it('forget who took longest ago when they hold as many users as they may', async () => {
    let forgotten = 0;
    const rates = new MemoryRates({ maxKeys: 3, forgot: () => forgotten++ });
    const rate: Rate = { limit: 1, windowMs: 60_000 };
    for (const key of ['a', 'b', 'c']) await rates.take(key, 1, rate);
    expect(forgotten).toBe(0);
    await rates.take('d', 1, rate);
    expect([rates.size, forgotten]).toEqual([3, 1]);
    expect((await rates.take('b', 1, rate)).allowed).toBe(false);
    expect((await rates.take('a', 1, rate)).allowed).toBe(true);
  });
});

describe('rates in redis', () => {
  it('keep at most one number for each part of the window, and nothing after it', async () => {
    const rates = new RedisRates(link, 'rates-test:');
    const key = newKey();
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
});

const nodes = (count: number): Allowance[] =>
  Array.from({ length: count }, () => new Allowance({ rates: new RedisRates(link, 'rates-test:'), name: 'a' }));

describe('an allowance', () => {
  const minute = 60_000;
  const spend = async (allowance: Allowance, key: string, limit: number): Promise<boolean> => {
    try {
      await allowance.spend(key, { limit, windowMs: minute });
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: 'rate_limited' });
      expect((error as { retryAfter: number }).retryAfter).toBeGreaterThan(0);
      return false;
    }
  };

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
    const open = () => new Allowance({ rates: new RedisRates(link, 'rates-test:'), name: 'a' });
    const two = [open(), open()] as const;
    const left = async (): Promise<number> =>
      (await new RedisRates(link, 'rates-test:').record(`a:${key}`, 0, rate)).remaining;
    for (let i = 0; i < 30; i++) for (const node of two) await node.spend(key, rate);
    await two[0].spend(other, rate);
    await until('all is reported', async () => (await left()) === 40);
    await link.commands.del(`rates-test:rates:a:${key}`);
    expect(await left()).toBe(100);
    for (const node of two) node.verify();
    await until('both have restored theirs', async () => (await left()) === 40);
    for (const node of two) await node.stop();
    expect(await left()).toBe(40);
  });

  it('queries Redis far less than once a hit', async () => {
    const counted = new MemoryRates();
    let requested = 0;
    const rates: Rates = {
      take: (...args) => (requested++, counted.take(...args)),
      record: (...args) => (requested++, counted.record(...args)),
    };
    const node = new Allowance({ rates, name: 'a' });
    for (let i = 0; i < 10_000; i++) await node.spend('u', { limit: 100_000, windowMs: minute });
    await node.stop();
    expect(requested).toBeLessThan(10);
  });

  it('goes by round trips for users beyond those it may hold', async () => {
    const node = new Allowance({ rates: new MemoryRates(), name: 'a', maxAccounts: 1 });
    expect([await spend(node, 'held', 2), await spend(node, 'other', 2)]).toEqual([true, true]);
    expect(node.size).toBe(1);
    expect([await spend(node, 'other', 2), await spend(node, 'other', 2)]).toEqual([true, false]);
    await node.stop();
  });
});

describe('with Redis unavailable', () => {
  it('the node counts by itself', async () => {
    let failed = 0;
    const broken: Rates = { take: () => Promise.reject(new Error('away')), record: () => new Promise(() => {}) };
    const rates = new FallbackRates(broken, new MemoryRates(), { up: () => true, failed: () => failed++ });
    const rate: Rate = { limit: 1, windowMs: 60_000 };
    expect((await rates.take('a', 1, rate)).allowed).toBe(true);
    expect((await rates.take('a', 1, rate)).allowed).toBe(false);
    expect((await rates.record('b', 1, rate)).remaining).toBe(0);
    expect(failed).toBe(3);
  });
});
