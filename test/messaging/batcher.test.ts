import { describe, expect, it } from 'vitest';
import { Batcher, type Run } from '../../src/messaging/batcher.ts';
import { until } from '../support/until.ts';

/** Doubles its items; each run waits until it is let go. */
function held(): { run: Run<number, number>; batches: number[][]; letGo: (fails?: Error) => void } {
  const batches: number[][] = [];
  let release: ((fails?: Error) => void) | undefined;
  return {
    batches,
    letGo: (fails) => release?.(fails),
    run: (items) =>
      new Promise((resolve, reject) => {
        batches.push(items);
        release = (fails) => (fails === undefined ? resolve(items.map((item) => item * 2)) : reject(fails));
      }),
  };
}

const limits = { maxBatch: 3, maxWaiting: 5 };

describe('the batcher', () => {
  it('runs what comes in one turn together, and what comes meanwhile next, in batches of bounded size', async () => {
    const { run, batches, letGo } = held();
    const batcher = new Batcher(run, limits);
    const first = [1, 2].map((n) => batcher.add(n));
    await until('the first batch runs', () => batches.length === 1);
    const later = [3, 4, 5, 6].map((n) => batcher.add(n));
    expect(batcher.waiting).toBe(4);
    letGo();
    expect(await Promise.all(first)).toEqual([2, 4]);
    await until('the second batch runs', () => batches.length === 2);
    letGo();
    await until('the third batch runs', () => batches.length === 3);
    letGo();
    expect(await Promise.all(later)).toEqual([6, 8, 10, 12]);
    expect(batches).toEqual([[1, 2], [3, 4, 5], [6]]);
  });

  it('refuses with overloaded as soon as as many wait as may', async () => {
    const { run, batches, letGo } = held();
    const batcher = new Batcher(run, limits);
    const taken = [1, 2, 3, 4, 5].map((n) => batcher.add(n));
    await expect(batcher.add(6)).rejects.toMatchObject({ code: 'overloaded', retryAfter: 1000 });
    await until('a batch runs', () => batches.length === 1);
    const more = [7, 8, 9].map((n) => batcher.add(n));
    await expect(batcher.add(10)).rejects.toMatchObject({ code: 'overloaded' });
    for (let n = 1; n <= 3; n++) {
      await until('the batch runs', () => batches.length === n);
      letGo();
    }
    expect(await Promise.all([...taken, ...more])).toEqual([2, 4, 6, 8, 10, 14, 16, 18]);
  });

  it('gives an error to the one item that it is the answer to', async () => {
    const batcher = new Batcher<number, number>(
      (items) => Promise.resolve(items.map((n) => (n === 2 ? new Error('two') : n))),
      limits,
    );
    const answers = await Promise.allSettled([1, 2, 3].map((n) => batcher.add(n)));
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  it('fails all that wait with a run that fails as a whole, and goes on with what comes later', async () => {
    const { run, batches, letGo } = held();
    const batcher = new Batcher(run, limits);
    const failing = [1, 2, 3, 4, 5].map((n) => batcher.add(n));
    await until('a batch runs', () => batches.length === 1);
    letGo(new Error('down'));
    for (const answer of failing) await expect(answer).rejects.toThrow('down');
    const next = batcher.add(6);
    await until('the next batch runs', () => batches.length === 2);
    letGo();
    expect(await next).toBe(12);
  });

  it('flushes: at once when idle, else when everything is answered', async () => {
    const { run, batches, letGo } = held();
    const batcher = new Batcher(run, limits);
    await batcher.flush();
    let answered = 0;
    for (const n of [1, 2, 3, 4]) void batcher.add(n).then(() => answered++);
    const flushed = batcher.flush().then(() => answered);
    await until('the first batch runs', () => batches.length === 1);
    letGo();
    await until('the second batch runs', () => batches.length === 2);
    letGo();
    expect(await flushed).toBe(4);
  });
});
