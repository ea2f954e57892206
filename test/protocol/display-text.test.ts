import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nameOf } from '../../src/sessions/token-name.ts';
import { cleanDisplayText, displayFault } from '../../src/protocol/display-text.ts';
import { attachment } from '../../src/protocol/body.ts';
import { commands } from '../../src/protocol/commands.ts';
import { limits } from '../../src/protocol/limits.ts';
import { roomName, roomTopic, userName } from '../../src/protocol/model.ts';

const family = '👨‍👩‍👧‍👦';
const wales = '🏴\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}';
const good = [
  'Ann',
  'R&D (2026)',
  '7',
  'İzmir',
  'שָׁלוֹם',
  'مُحَمَّد',
  'می\u200cخواهم',
  'नमस्ते',
  'ශ්\u200dරී ලංකා',
  '日本語の部屋',
  'ไทย',
  'e\u0301te',
  'Việt',
  '👍🏽',
  '❤️',
  family,
  '🇨🇭',
  wales,
  '1️⃣',
  '—x—',
];
const bad = [
  '\u200b',
  '\u3164',
  'a\u3164',
  '\uffa0',
  '\u115f\u1160',
  '\u2800',
  '\u2060',
  '\u00ad',
  'gnp.\u202eexe',
  'a\u2066b\u2069',
  'a\u200fb',
  'a\u061cb',
  '\u2028',
  'a\u2028b',
  'a\u2029b',
  'a\u0085b',
  'a\u009bb',
  'a\nb',
  'a\u0000b',
  'a\u007fb',
  '\ud800',
  'a\udfff',
  'a\uffff',
  'a\ufeffb',
  '\u0301',
  '\u0301a',
  '\u20dd',
  '\u200d',
  '\ufe0f',
  '\u{e0061}\u{e0062}',
  'a\u{e0061}',
  `a${'\u0301'.repeat(7)}`,
  '...',
  '—',
  '()',
];

describe('a text that is shown', () => {
  it.each(good)('may be %j', (text) => {
    expect(displayFault(text)).toBeUndefined();
    expect(cleanDisplayText(text, 64)).toEqual({ text, shortened: false });
  });

  it.each(bad)('may not be %j', (text) => {
    expect(displayFault(text)).toEqual(expect.any(String));
    for (const schema of [userName, roomName, roomTopic]) expect(schema.safeParse(text).success).toBe(false);
    expect(attachment.safeParse({ url: 'https://x', type: 'image/png', size: 1, name: text }).success).toBe(false);
    const room = { kind: 'channel', name: text };
    expect(commands['room:create'].input.safeParse(room).success).toBe(false);
    const clean = cleanDisplayText(text, 64);
    if (clean !== undefined) expect(displayFault(clean.text)).toBeUndefined();
  });

  it.each([
    ['  Ann \n Lee ', 'Ann Lee'],
    ['gnp.\u202eexe', 'gnp.exe'],
    ['\u0301Ann', 'Ann'],
    ['\u200b', undefined],
    ['', undefined],
    ['...', undefined],
    ['\ud800Ann', 'Ann'],
    [`a\u{e0061}${wales}`, `a🏴`],
  ])('is made good from %j', (text, expected) => {
    expect(cleanDisplayText(text, 40)?.text).toBe(expected);
  });

  it('is cut at its limit, between characters as readers see them', () => {
    const { userNameLength: max } = limits;
    expect(nameOf('x'.repeat(max))).toEqual({ name: 'x'.repeat(max), shortened: false });
    expect(nameOf('x'.repeat(max + 1))).toEqual({ name: `${'x'.repeat(max - 1)}…`, shortened: true });
    expect(nameOf(family.repeat(9))).toEqual({ name: `${family.repeat(3)}…`, shortened: true });
    expect(nameOf('x '.repeat(1_000_000)).name).toHaveLength(max);
    expect(nameOf(7)).toEqual({ name: null, shortened: false });
  });

  it('is good, whatever it was made from', { timeout: 120_000 }, () => {
    const any = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) }),
      fc.array(fc.constantFrom(...good, ...bad)).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(any, fc.integer({ min: 1, max: 60 }), (text, max) => {
        const clean = cleanDisplayText(text, max);
        if (clean === undefined) return;
        expect(displayFault(clean.text)).toBeUndefined();
        expect(clean.text.length).toBeLessThanOrEqual(max);
        expect(clean.text).toBe(clean.text.trim());
      }),
      { numRuns: 500 },
    );
  });
});
