/** The cases that every form of rates passes; src/rates/rates.ts states the contract in prose. */
import { describe, expect, it } from 'vitest';
import { windowParts, type Rate, type Rates } from '../../src/rates/rates.ts';
import { until } from '../support/until.ts';

const newKey = (): string => crypto.randomUUID();

/** @param open a form that shares its counts with nobody, or only by key. */
export function ratesContract(form: string, open: () => Rates): void {
  describe(`rates in ${form}`, () => {
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

    it('refuse only what a window of 1 % more would not hold, where the window has 120 parts', async () => {
      const rates = open();
      const key = newKey();
      // an hour of 100 requests in 1.2 s, and two requests at a time all along
      const hour: Rate = { limit: 100, windowMs: 1200, parts: 120 };
      const admitted: { from: number; to: number }[] = [];
      const refused: { from: number; to: number }[] = [];
      const asking = async (): Promise<void> => {
        while (admitted.length < 3 * hour.limit) {
          const from = performance.now();
          const { allowed } = await rates.take(key, 1, hour);
          (allowed ? admitted : refused).push({ from, to: performance.now() });
          // memory answers in the same turn of the event loop
          if (!allowed) await new Promise<void>((resolve) => setImmediate(resolve));
        }
      };
      await Promise.all([asking(), asking()]);
      expect(refused.length).toBeGreaterThan(0);
      // two clocks of whole milliseconds
      const longest = hour.windowMs * 1.01 + 2;
      const step = Math.ceil(refused.length / 300);
      for (const { from, to } of refused.filter((_, n) => n % step === 0)) {
        const before = admitted.filter((one) => one.to >= from - longest && one.from <= to);
        expect(before.length).toBeGreaterThanOrEqual(hour.limit);
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
      // too old to be in the window for certain: the form may have dropped it
      const old = await open().record(newKey(), 0, minutely, [{ age: windowParts - 1, count: 9 }]);
      expect(old).toMatchObject({ allowed: true, remaining: 10 });
    });

    it('admit again when `resetMs` has passed', async () => {
      const rates = open();
      const key = newKey();
      const short: Rate = { limit: 2, windowMs: 200 };
      await rates.take(key, 2, short);
      const { resetMs } = await rates.take(key, 1, short);
      const end = performance.now() + resetMs;
      await until('the time has passed', () => performance.now() > end + 2);
      expect((await rates.take(key, 1, short)).allowed).toBe(true);
    });
  });
}
