import { expect, it } from 'vitest';
import { VersionCache } from '../../src/recovery/version-cache.ts';

it('knows the last value of each key', () => {
  const cache = new VersionCache();
  expect(cache.note('ann', 'member')).toBe(false);
  expect(cache.note('ann', 'member')).toBe(true);
  expect(cache.note('ben', 'member')).toBe(false);
  expect(cache.note('ann', 'guest')).toBe(false);
  expect(cache.note('ann', 'member')).toBe(false);
  expect([cache.is('ann', 'member'), cache.is('ann', 'guest'), cache.is('cid', 'member')]).toEqual([
    true,
    false,
    false,
  ]);
});

it('drops the oldest key past its limit', () => {
  const cache = new VersionCache(2);
  for (const user of ['a', 'b', 'c']) cache.note(user, 'member');
  expect(['c', 'b', 'a'].map((user) => cache.is(user, 'member'))).toEqual([true, true, false]);
});
