import { describe, expect, it } from 'vitest';
import { Archive } from '../../src/client/archive.ts';
import { indexedDbStore, memoryStore } from '../../src/client/index.ts';
import { storeContract } from '../contract/store.contract.ts';

// IndexedDB runs the same contract in Chromium: test/browser/sdk.test.ts.
describe('a store in memory', () => {
  it.each(Object.entries(storeContract))('%s', async (_, run) => {
    const store = memoryStore();
    await run(store, () => store);
  });
});

it('rejects where there is no IndexedDB', async () => {
  await expect(indexedDbStore().get('a')).rejects.toMatchObject({ name: 'ParleyError', code: 'invalid' });
});

const broken = async (): Promise<never> => {
  throw new Error('the disk is full');
};

describe('the archive', () => {
  const snapshot = { messages: [], cursor: 1, hasOlder: false, epoch: undefined };

  it('keeps the rooms saved last, and no more than its bound', async () => {
    const store = memoryStore();
    const archive = new Archive(store);
    archive.open('u/');
    for (let at = 0; at <= 50; at += 1) await archive.saveRoom(`r${at}`, snapshot);
    await archive.saveRoom('r1', snapshot);
    await archive.saveRoom('new', snapshot);
    expect(await archive.room('r0')).toBeUndefined();
    expect(await archive.room('r2')).toBeUndefined();
    expect(await archive.room('r1')).toEqual(snapshot);
    expect(await archive.room('new')).toEqual(snapshot);
    expect(await store.list('u/room/')).toHaveLength(50);
    await archive.saveRoom('new', undefined);
    expect(await store.list('u/room/')).toHaveLength(49);
  });

  it('keeps to its bound where many are saved at the same time', async () => {
    const store = memoryStore();
    const archive = new Archive(store);
    archive.open('u/');
    await Promise.all(Array.from({ length: 60 }, (_, at) => archive.saveRoom(`r${at}`, snapshot)));
    expect(await store.list('u/room/')).toHaveLength(50);
    expect(await archive.room('r9')).toBeUndefined();
    expect(await archive.room('r10')).toEqual(snapshot);
  });

  it('keeps to its bound after the store failed to list, to keep and to remove', async () => {
    const store = memoryStore();
    const failing = new Set(['list u/saved/', 'set u/room/r30', 'remove u/room/r3']);
    const failed: string[] = [];
    const unless = (step: string): void => {
      if (!failing.delete(step)) return;
      failed.push(step);
      throw new Error('not now');
    };
    const archive = new Archive({
      ...store,
      list: async (key) => {
        unless(`list ${key}`);
        return store.list(key);
      },
      set: async (key, value) => {
        unless(`${value === undefined ? 'remove' : 'set'} ${key}`);
        await store.set(key, value);
      },
    });
    archive.open('u/');
    for (let at = 0; at < 60; at++) await archive.saveRoom(`r${at}`, snapshot);
    expect(failed).toHaveLength(3);
    expect(archive.failed.value).toMatchObject({ message: 'not now' });
    const kept = (await store.list('u/room/')).map(([key]) => key);
    // r30 was not stored, and the next removal finds what the failed one left
    expect(kept).not.toContain('u/room/r30');
    expect(kept).not.toContain('u/room/r3');
    expect(kept).toHaveLength(50);
  });

  it('keeps users apart, and forgets one of them', async () => {
    const store = memoryStore();
    const [ann, ben] = [new Archive(store), new Archive(store)];
    ann.open('ann/');
    ben.open('ben/');
    ann.set('a', 1);
    ben.set('a', 2);
    await ann.forget();
    expect(await ann.get('a')).toBeUndefined();
    expect(await ben.get('a')).toBe(2);
  });

  it('continues without a store that fails, and shows the error', async () => {
    const archive = new Archive({ get: broken, list: broken, set: broken });
    archive.open('');
    expect(await archive.get('a')).toBeUndefined();
    expect(await archive.list('a')).toEqual([]);
    expect(archive.failed.value).toMatchObject({ name: 'ParleyError', message: 'the disk is full' });
  });
});
