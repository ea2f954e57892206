import { describe, expect, it } from 'vitest';
import { Batcher, type Run } from '../../src/storage/batcher.ts';
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
/** A sender for each hundred. */
const senderOf = (n: number): string => String(Math.floor(n / 100));

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

  it('lets senders take turns when more waits than fits in a batch, and keeps the order of each sender', async () => {
    const { run, batches, letGo } = held();
    const batcher = new Batcher(run, { maxBatch: 3, maxWaiting: 100, senderOf });
    const answers = [100, 101, 102, 103, 104, 200, 105, 201, 300].map((n) => batcher.add(n));
    await until('the first batch runs', () => batches.length === 1);
    answers.push(batcher.add(400), batcher.add(202));
    for (let n = 1; n <= 4; n++) {
      await until('the batch runs', () => batches.length === n);
      letGo();
    }
    expect(await Promise.all(answers)).toHaveLength(11);
    expect(batches).toEqual([
      [100, 200, 300],
      [101, 201, 400],
      [102, 202, 103],
      [104, 105],
    ]);
  });

  it('lets senders take turns when the items are larger than a batch, and gives a too large item a batch of its own', async () => {
    const { run, batches, letGo } = held();
    const sizes = new Map([[104, 11]]);
    const sizeOf = (n: number): number => sizes.get(n) ?? (n < 200 ? 4 : 1);
    const batcher = new Batcher(run, { maxBatch: 100, maxWaiting: 100, senderOf, sizeOf, maxBatchSize: 10 });
    const answers = [100, 101, 102, 103, 104, 200, 201].map((n) => batcher.add(n));
    for (let n = 1; n <= 3; n++) {
      await until('the batch runs', () => batches.length === n);
      if (n === 1) answers.push(batcher.add(300));
      letGo();
    }
    expect(await Promise.all(answers)).toHaveLength(8);
    // exactly the size of a batch fits, and one more does not
    expect(batches).toEqual([[100, 200, 101, 201], [102, 300, 103], [104]]);
    const together = [105, 106, 202, 203].map((n) => batcher.add(n));
    await until('the batch runs', () => batches.length === 4);
    letGo();
    await Promise.all(together);
    expect(batches[3]).toEqual([105, 106, 202, 203]);
  });

  it('keeps the order of arrival while all that waits fits in a batch', async () => {
    const { run, batches, letGo } = held();
    const batcher = new Batcher(run, { ...limits, senderOf: (n) => String(n % 2) });
    const answers = [1, 3, 2].map((n) => batcher.add(n));
    await until('the batch runs', () => batches.length === 1);
    letGo();
    await Promise.all(answers);
    expect(batches).toEqual([[1, 3, 2]]);
  });

  it('fails the waiting items with a run that fails as a whole', async () => {
    const { run, batches, letGo } = held();
    const batcher = new Batcher(run, { maxBatch: 1, maxWaiting: 10, senderOf: (n) => String(n % 2) });
    const failing = [1, 2, 3].map((n) => batcher.add(n));
    await until('the first batch runs', () => batches.length === 1);
    letGo();
    expect(await failing[0]).toBe(2);
    await until('the second batch runs', () => batches.length === 2);
    letGo(new Error('down'));
    for (const answer of failing.slice(1)) await expect(answer).rejects.toThrow('down');
    expect(batcher.waiting).toBe(0);
    const next = [4, 5, 6].map((n) => batcher.add(n));
    for (let n = 3; n <= 5; n++) {
      await until('the batch runs', () => batches.length === n);
      letGo();
    }
    expect(await Promise.all(next)).toEqual([8, 10, 12]);
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

  it('lets senders share the second half of the places, and keeps a place for a sender without any', async () => {
    const { run, batches, letGo } = held();
    const batcher = new Batcher(run, { maxBatch: 16, maxWaiting: 16, senderOf });
    const adds = (...items: number[]): Promise<number>[] => items.map((n) => batcher.add(n));
    const taken = adds(100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111);
    // the first half, and half of the second
    await expect(batcher.add(112)).rejects.toMatchObject({ code: 'overloaded', retryAfter: 1000 });
    expect(batcher.refuses('1')).toBe(true);
    expect(batcher.full).toBe(false);
    taken.push(...adds(200, 201));
    await expect(batcher.add(203)).rejects.toMatchObject({ code: 'overloaded' });
    taken.push(...adds(300, 400));
    expect(batcher.full).toBe(true);
    await expect(batcher.add(500)).rejects.toMatchObject({ code: 'overloaded' });
    await until('the batch runs', () => batches.length === 1);
    letGo();
    expect(await Promise.all(taken)).toHaveLength(16);
    // every place is free again, after a failure too
    for (const failure of [new Error('down'), undefined]) {
      const next = Promise.allSettled(adds(100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111));
      const runs = batches.length + 1;
      await until('the next batch runs', () => batches.length === runs);
      letGo(failure);
      const status = failure === undefined ? 'fulfilled' : 'rejected';
      expect((await next).every((answer) => answer.status === status)).toBe(true);
    }
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
