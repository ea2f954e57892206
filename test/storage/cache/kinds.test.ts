import { expect, it } from 'vitest';
import { keyOf, kindNames, kinds, longestLifeMs, nameOf, tagOf } from '../../../src/storage/cache/kinds.ts';

const minute = 60_000;

it('has the times of docs/caching.md', () => {
  expect(Object.fromEntries(kindNames.map((name) => [name, kinds[name].ttlMs / minute]))).toEqual({
    apiKey: 1,
    user: 15,
    roomState: 5,
    roomHead: 5,
    membership: 5,
    roomList: 1,
    unread: 1,
    keySet: 10,
    session: 24 * 60,
    channelSearch: 1,
  });
});

it('has no grace for values that decide what a caller may do', () => {
  for (const name of ['apiKey', 'membership', 'session', 'keySet'] as const) expect(kinds[name].graceMs).toBe(0);
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
  const keys = ids.map((id) => keyOf('membership', id as [string, string]));
  expect(new Set(keys).size).toBe(ids.length);
  for (const key of keys) {
    expect(key.length).toBeLessThanOrEqual(200);
    expect(key).toMatch(/^membership\/[^\n]*$/);
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
  expect(longestLifeMs('room:lobby')).toBe(5 * minute + 30_000);
  expect(longestLifeMs('user:ann')).toBe(16 * minute);
  expect(longestLifeMs('sessions:ann')).toBe(24 * 60 * minute);
  expect(longestLifeMs('kind:apiKey')).toBe(minute);
});
