import { describe, expect, it } from 'vitest';
import { isEmojiOnly, pieces, textOf } from '../../src/web/text.ts';

describe('pieces', () => {
  const cases: [string, string[]][] = [
    ['no link', []],
    ['https://a.example.', ['https://a.example']],
    ['(see https://a.example/b_(c))', ['https://a.example/b_(c)']],
    ['http://a.example/?q=1&r=2#x, https://b.example!', ['http://a.example/?q=1&r=2#x', 'https://b.example']],
    ['javascript:alert(1) data:text/html,x ftp://a.example', []],
    ['https://', []],
    ['<https://a.example>', ['https://a.example']],
  ];
  for (const [text, links] of cases) {
    it(`finds ${links.length} in ${text}`, () => {
      const found = pieces(text);
      expect(found.map((piece) => piece.text).join('')).toBe(text);
      expect(found.filter(({ href }) => href !== undefined).map((piece) => piece.text)).toEqual(links);
    });
  }
});

it('shows up to three emoji large, and nothing else', () => {
  for (const text of ['🦭', '🦭🌊', '👩‍👩‍👧 👍🏽', '🇸🇪']) expect(isEmojiOnly(text), text).toBe(true);
  for (const text of ['', '123', 'a🦭', '🦭🦭🦭🦭', '#', ' ']) expect(isEmojiOnly(text), text).toBe(false);
});

it('shows any body as text', () => {
  expect(textOf('plain')).toBe('plain');
  expect(textOf({ text: 'wrapped' })).toBe('wrapped');
  expect(textOf({ temperature: 21 })).toBe('{\n  "temperature": 21\n}');
});
