import { expect, it } from 'vitest';
import { LocalTier, type LocalEntry } from '../../../src/storage/cache/local-tier.ts';

let evicted = 0;
function tierOf(maxBytes: number, more: { maxEntryBytes?: number; maxNotes?: number } = {}): LocalTier {
  evicted = 0;
  return new LocalTier({ maxBytes, maxEntryBytes: 10_000, evicted: () => void evicted++, ...more });
}
const entryOf = (key: string, text: string, ...tags: string[]): LocalEntry => ({
  text,
  names: [key, ...tags],
  freshUntil: Infinity,
});
/** 200 bytes around it, the key twice, and the text. */
const sized = (key: string, bytes: number): LocalEntry => entryOf(key, 'x'.repeat(bytes - 200 - 2 * key.length));

it('holds its bytes, and for one more byte removes the entry that was read longest ago', () => {
  const tier = tierOf(1000);
  tier.put('a', sized('a', 500), 0);
  tier.put('b', sized('b', 500), 0);
  expect([tier.bytes, tier.entries, evicted]).toEqual([1000, 2, 0]);
  tier.get('a');
  tier.put('c', sized('c', 203), 0);
  expect([tier.get('a') !== undefined, tier.get('b') !== undefined, tier.get('c') !== undefined]).toEqual([
    true,
    false,
    true,
  ]);
  expect([tier.bytes, evicted]).toEqual([703, 1]);
});

it('keeps an entry of the largest size, and none of one more byte, nor what was there before', () => {
  const tier = tierOf(10_000, { maxEntryBytes: 400 });
  tier.put('a', sized('a', 400), 0);
  expect(tier.entries).toBe(1);
  expect(tier.put('a', sized('a', 401), 0)).toBe(true);
  expect(tier.entries).toBe(0);
});

it('counts two bytes for each character of a text that is not ASCII', () => {
  const tier = tierOf(10_000);
  tier.put('a', entryOf('a', 'é'.repeat(50)), 0);
  expect(tier.bytes).toBe(200 + 2 + 100);
});

it('refuses a value whose load began before an invalidation of its key or tag, and takes one that began after', () => {
  const tier = tierOf(10_000);
  const { version } = tier;
  tier.invalidate(['room:lobby']);
  expect(tier.put('a', entryOf('a', '1', 'room:lobby'), version)).toBe(false);
  expect(tier.put('b', entryOf('b', '1', 'room:other'), version)).toBe(true);
  expect(tier.put('a', entryOf('a', '2', 'room:lobby'), tier.version)).toBe(true);
  tier.drain();
  expect(tier.entries).toBe(0);
  expect(tier.put('b', entryOf('b', '1'), version)).toBe(false);
});

it('fences every load that is under way when it has too many notes', () => {
  const tier = tierOf(10_000, { maxNotes: 2 });
  const { version } = tier;
  tier.invalidate(['user:a', 'user:b']);
  expect(tier.isFenced(['user:c'], version)).toBe(false);
  tier.invalidate(['user:d']);
  expect(tier.isFenced(['user:c'], version)).toBe(true);
  expect(tier.isFenced(['user:c'], tier.version)).toBe(false);
});

it('forgets the tags of entries that are gone', () => {
  const tier = tierOf(700);
  for (let i = 0; i < 1000; i++) tier.put(`k${i}`, entryOf(`k${i}`, 'x', `room:${i}`), tier.version);
  expect(tier.entries).toBeLessThanOrEqual(3);
  tier.invalidate(Array.from({ length: 1000 }, (_, i) => `room:${i}`));
  expect([tier.entries, tier.bytes]).toEqual([0, 0]);
});
