/** The cases that every form of the cache passes; src/storage/cache.ts states the contract in prose. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Cache } from '../../src/storage/cache.ts';
import type { UserFacts } from '../../src/storage/cache/kinds.ts';
import { closedGate } from '../support/gate.ts';
import { until } from '../support/until.ts';

const nothing = (): Promise<never> => Promise.resolve(undefined as never);
const failing = (): Promise<UserFacts> => Promise.reject(new Error('no answer of Postgres'));
const never = (): Promise<never> => Promise.reject(new Error('loaded once more'));

/** @param open a cache with at most 2 loads at once and 3 that wait. */
export function cacheContract(form: string, open: () => Promise<Cache>): void {
  describe(`the cache in ${form}`, () => {
    const opened: Cache[] = [];
    afterEach(async () => {
      for (const cache of opened.splice(0)) await cache.close();
    });
    const cacheOf = async (): Promise<Cache> => {
      const cache = await open();
      opened.push(cache);
      return cache;
    };
    const ann = { id: 'ann', name: 'Ann' };

    it('loads a value once, and gives each reader a copy', async () => {
      const cache = await cacheOf();
      let loads = 0;
      const load = (): Promise<UserFacts> => Promise.resolve({ ...ann, name: `Ann ${++loads}` });
      const first = await cache.read('user', ['ann'], load);
      (first as { name: string }).name = 'changed by a reader';
      expect(await cache.read('user', ['ann'], load)).toEqual({ id: 'ann', name: 'Ann 1' });
      expect(await cache.read('user', ['bob'], load)).toEqual({ id: 'ann', name: 'Ann 2' });
    });

    it('keeps null, and refuses undefined', async () => {
      const cache = await cacheOf();
      let loads = 0;
      const none = (): Promise<null> => {
        loads++;
        return Promise.resolve(null);
      };
      expect(await cache.read('user', ['nobody'], none)).toBeNull();
      expect(await cache.read('user', ['nobody'], none)).toBeNull();
      expect(loads).toBe(1);
      await expect(cache.read('user', ['wrong'], nothing)).rejects.toThrow(TypeError);
    });

    it('loads again after an invalidation of the key, of a tag, and of everything', async () => {
      const cache = await cacheOf();
      let loads = 0;
      const read = (room: string, owner: string): Promise<string> =>
        cache.read('roomOwner', [room], () => {
          loads++;
          return Promise.resolve(owner);
        });
      const loadsOf = async (work: () => Promise<unknown>): Promise<number> => {
        await work();
        loads = 0;
        for (const room of ['a', 'b']) for (const owner of ['x', 'y']) await read(`${room}-${owner}`, owner);
        return loads;
      };
      expect(await loadsOf(() => Promise.resolve())).toBe(4);
      expect(await loadsOf(() => Promise.resolve())).toBe(0);
      expect(await loadsOf(() => cache.invalidate([{ kind: 'roomOwner', id: ['a-x'] }]))).toBe(1);
      expect(await loadsOf(() => cache.invalidate(['room:a-x', 'room:a-y']))).toBe(2);
      expect(await loadsOf(() => cache.invalidate(['user:y', 'room:b-x']))).toBe(3);
      expect(await loadsOf(() => cache.invalidate(['kind:roomOwner']))).toBe(4);
      expect(await loadsOf(() => cache.invalidate(['kind:user', 'room:other']))).toBe(0);
      expect(await loadsOf(() => cache.clear('user:x'))).toBe(2);
      expect(await loadsOf(() => cache.clear())).toBe(4);
    });

    it('ends a value by a tag that only the value names', async () => {
      const cache = await cacheOf();
      let loads = 0;
      const load = () => {
        loads++;
        return Promise.resolve({ ids: ['lobby'], after: null, more: false });
      };
      await cache.read('channelSearch', ['lob', ''], load);
      await cache.invalidate(['room:lobby']);
      await cache.read('channelSearch', ['lob', ''], load);
      expect(loads).toBe(2);
    });

    it('has one load for many readers of a key', async () => {
      const cache = await cacheOf();
      const gate = closedGate();
      let loads = 0;
      const load = async (): Promise<UserFacts> => {
        loads++;
        await gate.opened;
        return ann;
      };
      const reads = Array.from({ length: 1000 }, () => cache.read('user', ['ann'], load));
      await until('the load runs', () => loads > 0);
      gate.open();
      expect(await Promise.all(reads)).toEqual(Array.from({ length: 1000 }, () => ann));
      expect(loads).toBe(1);
    });

    it('does not keep the value of a load that an invalidation overtook', async () => {
      const cache = await cacheOf();
      let stored = 'old';
      const gate = closedGate();
      let began = false;
      const slow = cache.read('user', ['ann'], async () => {
        const name = stored;
        began = true;
        await gate.opened;
        return { id: 'ann', name };
      });
      await until('the old value is read', () => began);
      stored = 'new';
      await cache.invalidate([{ kind: 'user', id: ['ann'] }]);
      const fresh = (): Promise<UserFacts> => Promise.resolve({ id: 'ann', name: stored });
      // a reader that comes now does not wait for the old load either
      expect(await cache.read('user', ['ann'], fresh)).toEqual({ id: 'ann', name: 'new' });
      gate.open();
      expect(await slow).toEqual({ id: 'ann', name: 'old' });
      expect(await cache.read('user', ['ann'], fresh)).toEqual({ id: 'ann', name: 'new' });
    });

    it('reads once more for a reader that joined a load after an invalidation by a tag', async () => {
      const cache = await cacheOf();
      let stored = 'old';
      const gate = closedGate();
      let began = false;
      const load = async (): Promise<UserFacts> => {
        const name = stored;
        if (!began) {
          began = true;
          await gate.opened;
        }
        return { id: 'ann', name };
      };
      const before = cache.read('user', ['ann'], load);
      await until('the old value is read', () => began);
      stored = 'new';
      await cache.invalidate(['user:ann']);
      const after = cache.read('user', ['ann'], load);
      gate.open();
      expect((await before)?.name).toBe('old');
      expect((await after)?.name).toBe('new');
    });

    it('gives the error of a load to its readers, and loads again for the next one', async () => {
      const cache = await cacheOf();
      const reads = [1, 2].map(() => cache.read('user', ['ann'], failing));
      for (const result of await Promise.allSettled(reads)) expect(result.status).toBe('rejected');
      expect(await cache.read('user', ['ann'], () => Promise.resolve(ann))).toEqual(ann);
    });

    it('runs loads up to its limit, lets others wait, and refuses one more', async () => {
      const cache = await cacheOf();
      const gate = closedGate();
      let running = 0;
      let most = 0;
      const load = async (): Promise<UserFacts> => {
        most = Math.max(most, ++running);
        await gate.opened;
        running--;
        return ann;
      };
      const reads = Array.from({ length: 5 }, (_, i) => cache.read('user', [`u${i}`], load));
      await until('two loads run', () => running === 2);
      // all five are inside: two run and three wait
      await until('the sixth is refused', async () => {
        const sixth = await cache.read('user', ['one more'], load).then(
          () => 'read',
          (error: unknown) => (error as { code?: string }).code,
        );
        return sixth === 'overloaded';
      });
      expect((await cache.stats()).nodes[0]).toMatchObject({ loading: 2 });
      gate.open();
      expect(await Promise.all(reads)).toEqual(Array.from({ length: 5 }, () => ann));
      expect(most).toBe(2);
    });

    it('warms keys up, and leaves out a load that fails', async () => {
      const cache = await cacheOf();
      const warm = cache.warm('user', [['ann'], ['bob'], ['broken']], ([id]): Promise<UserFacts> =>
        id === 'broken' ? Promise.reject(new Error('no')) : Promise.resolve({ id, name: null }),
      );
      expect(await warm).toBe(2);
      expect(await cache.read('user', ['bob'], never)).toEqual({ id: 'bob', name: null });
    });

    it('counts its reads by kind and result', async () => {
      const cache = await cacheOf();
      for (let i = 0; i < 3; i++) await cache.read('user', ['ann'], () => Promise.resolve(ann));
      const [node] = (await cache.stats()).nodes;
      const { loaded = 0, local = 0, shared = 0 } = node?.reads.user ?? {};
      // a busy machine may let the lease of the memory lapse for a moment
      expect({ loaded, hits: local + shared }).toEqual({ loaded: 1, hits: 2 });
      expect(node?.entries).toBe(1);
      expect(node?.bytes).toBeGreaterThan(20);
    });
  });
}
