/** The contract of every store, as cases that throw: they run in Node and inside a browser's page. */
import type { Store } from '../../src/client/index.ts';

type Case = (store: Store, again: () => Store) => Promise<void>;

function same(found: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`found ${a} instead of ${b}`);
}

export const storeContract: Record<string, Case> = {
  'gives what was set last, and undefined for what was not': async (store) => {
    await store.set('a', { text: 'one', list: [1, null, true] });
    await store.set('a', 'two');
    same(await store.get('a'), 'two');
    if ((await store.get('b')) !== undefined) throw new Error('b was never set');
  },
  'keeps any JSON as it was, whatever the caller does with it later': async (store) => {
    const value = { deep: { list: [1, 'ä', '\u2028', null, false, 0.5] } };
    await store.set('a', value);
    value.deep.list.push('later');
    same(await store.get('a'), { deep: { list: [1, 'ä', '\u2028', null, false, 0.5] } });
    const got = (await store.get('a')) as typeof value;
    got.deep.list.length = 0;
    same(((await store.get('a')) as typeof value).deep.list.length, 6);
  },
  'removes what is set to undefined': async (store) => {
    await store.set('a', 1);
    await store.set('a', undefined);
    await store.set('never', undefined);
    same(await store.list(''), []);
  },
  'lists what begins so, in the order of the keys': async (store) => {
    for (const key of ['r/b', 'r/a', 'r', 'r/ä', 's', 'r/Z', 'r/a/1', 'q']) await store.set(key, key);
    same(
      (await store.list('r/')).map(([key]) => key),
      ['r/Z', 'r/a', 'r/a/1', 'r/b', 'r/ä'],
    );
    same(await store.list('r/a'), [
      ['r/a', 'r/a'],
      ['r/a/1', 'r/a/1'],
    ]);
    same((await store.list('')).length, 8);
    same(await store.list('x'), []);
  },
  'takes calls in the order they are made, awaited or not': async (store) => {
    const calls: Promise<unknown>[] = [];
    for (let at = 0; at < 50; at += 1) calls.push(store.set('n', at), store.set(`k${at}`, at));
    const [seen, listed] = await Promise.all([store.get('n'), store.list('k')]);
    same(seen, 49);
    same(listed.length, 50);
    calls.push(store.set('n', undefined));
    same((await store.get('n')) === undefined, true);
    await Promise.all(calls);
  },
  'holds what a full outbox and many rooms take': async (store) => {
    const body = 'x'.repeat(16 * 1024);
    await Promise.all(Array.from({ length: 500 }, (_, at) => store.set(`outbox/${at}`, { body })));
    same((await store.list('outbox/')).length, 500);
  },
  'shows one user of it what the other has set': async (store, again) => {
    const other = again();
    await store.set('a', 1);
    same(await other.get('a'), 1);
    await other.set('a', 2);
    same(await store.get('a'), 2);
  },
};
