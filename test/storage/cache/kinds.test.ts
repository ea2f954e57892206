import { expect, it } from 'vitest';
import { keyOf, kindNames, kinds, longestLifeMs, nameOf, tagOf } from '../../../src/storage/cache/kinds.ts';

const minute = 60_000;

it('has the times of docs/caching.md', () => {
  expect(Object.fromEntries(kindNames.map((name) => [name, kinds[name].ttlMs / minute]))).toEqual({
    user: 15,
    profile: 15,
    roomOwner: 5,
    channelSearch: 1,
  });
});

it('has no grace for the value that decides as whom a key acts', () => {
  expect(kinds.roomOwner.graceMs).toBe(0);
});

it('gives different ids different keys, whatever is in them', () => {
  const ids = [
    ['a/b', 'c'],
    ['a', 'b/c'],
    ['a%2Fb', 'c'],
    ['a\nb', 'c'],
    ['a', 'b', 'c'],
    ['\ud800', 'c'],
    ['x'.repeat(1000), 'c'],
    ['x'.repeat(1001), 'c'],
  ];
  const keys = ids.map((id) => keyOf('channelSearch', id as [string, string]));
  expect(new Set(keys).size).toBe(ids.length);
  for (const key of keys) {
    expect(key.length).toBeLessThanOrEqual(200);
    expect(key).toMatch(/^channelSearch\/[^\n]*$/);
  }
});

it('keeps names of keys and of tags apart', () => {
  expect(nameOf('room:a/b\nc')).toBe('room:a%2Fb%0Ac');
  expect(nameOf({ kind: 'user', id: ['room:a'] })).toBe('user/room:a');
});

it('knows which texts are tags', () => {
  expect(tagOf('room:lobby')).toBe('room:lobby');
  expect(tagOf('kind:user')).toBe('kind:user');
  for (const wrong of ['', 'room:', 'lobby', 'kind:nothing', 'user/ann']) expect(tagOf(wrong)).toBeUndefined();
});

it('keeps a fence as long as an entry with the tag may live', () => {
  expect(longestLifeMs('user/ann')).toBe(0);
  expect(longestLifeMs('room:lobby')).toBe(5 * minute);
  expect(longestLifeMs('user:ann')).toBe(16 * minute);
  expect(longestLifeMs('kind:channelSearch')).toBe(minute + 30_000);
});
