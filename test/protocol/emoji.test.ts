import { expect, it } from 'vitest';
import { isEmoji, maxEmojiLength, qualified } from '../../src/protocol/emoji.ts';

const chain = (length: number): string => Array.from({ length }, () => '👩').join('\u200d');

it.each([
  ['a plain one', '👍'],
  ['a skin tone', '👍🏽'],
  ['a family', '👨‍👩‍👧‍👦'],
  ['two skin tones', '🫱🏻‍🫲🏿'],
  ['a kiss, the longest kind', '👩🏻‍❤️‍💋‍👩🏿'],
  ['a flag of two letters', '🇨🇭'],
  ['a flag of tags', '🏴󠁧󠁢󠁥󠁮󠁧󠁿'],
  ['a keycap', '1️⃣'],
  ['the hash keycap', '#️⃣'],
  ['one newer than this Node', '\u{1faea}'],
])('%s is an emoji', (_, text) => {
  expect(isEmoji(text)).toBe(true);
  expect(qualified(text)).toBe(text);
});

it.each([
  ['nothing', ''],
  ['a letter', 'a'],
  ['a digit', '1'],
  ['a space', ' '],
  ['two', '👍👍'],
  ['one and a letter', '👍a'],
  ['one and a combining mark', '👍\u0301'],
  ['half a flag', '🇨'],
  ['a flag of no country', '🇽🇽'],
  ['a joiner', '\u200d'],
  ['one and a joiner', '👍\u200d'],
  ['half a character', '\ud83d'],
  ['a selector', '\ufe0f'],
  ['a chain past the limit', chain(12)],
  ['a megabyte', '👍'.repeat(500_000)],
])('%s is none', (_, text) => {
  expect(isEmoji(qualified(text))).toBe(false);
});

it('is one emoji with the selector and without', () => {
  expect(qualified('❤')).toBe('❤️');
  expect(qualified('❤️')).toBe('❤️');
  expect(qualified('👍\ufe0f')).toBe('👍');
});

it('is no longer than the limit', () => {
  expect(chain(11)).toHaveLength(maxEmojiLength);
  expect(isEmoji(chain(11))).toBe(true);
  expect(isEmoji(chain(12))).toBe(false);
});
