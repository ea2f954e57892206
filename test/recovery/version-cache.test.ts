import { expect, it } from 'vitest';
import { VersionCache } from '../../src/recovery/version-cache.ts';

it('knows what was told last, of each key', () => {
  const told = new VersionCache();
  expect(told.note('ann', 'member')).toBe(false);
  expect(told.note('ann', 'member')).toBe(true);
  expect(told.note('ben', 'member')).toBe(false);
  expect(told.note('ann', 'guest')).toBe(false);
  expect(told.note('ann', 'member')).toBe(false);
  expect([told.is('ann', 'member'), told.is('ann', 'guest'), told.is('cid', 'member')]).toEqual([true, false, false]);
});

it('forgets the oldest past its limit', () => {
  const told = new VersionCache(2);
  for (const user of ['a', 'b', 'c']) told.note(user, 'member');
  expect(['c', 'b', 'a'].map((user) => told.is(user, 'member'))).toEqual([true, true, false]);
});
