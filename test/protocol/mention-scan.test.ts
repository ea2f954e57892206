import { describe, expect, it } from 'vitest';
import { mentionsIn } from '../../src/messages/bodies/mentions.ts';
import { limits } from '../../src/protocol/limits.ts';
import { inWord, mentionRuns } from '../../src/protocol/mention-scan.ts';
import { mentionsIn as drawn } from '../../src/web/chat/text/mentions.ts';

const runs = (text: string) => [...mentionRuns(text)].map(({ bare }) => bare);

describe('mentions', () => {
  it.each([
    ['请问@ben在吗', ['ben']],
    ['请问，@ben，在吗？@ann。', ['ben', 'ann']],
    ['東京で@benさん', ['ben']],
    ['ティー@ben', ['ben']],
    ['서울에서@ben님', ['ben']],
    ['สวัสดี@benครับ', ['ben']],
    ['ມື້ນີ້@ben', ['ben']],
    ['សួស្តី@ben', ['ben']],
    ['မင်္ဂလာပါ@ben', ['ben']],
    ['𠮷@ben', ['ben']],
    ['👍@ben @annпривет', ['ben', 'ann']],
    ['@benは @bené', ['ben', 'ben']],
  ])('stand beside letters of any script: %j names %j', (text, expected) => {
    expect(runs(text)).toEqual(expected);
  });

  it.each([
    ['mail ann@example.com and юзер@example.com'],
    ['jos\u00e9@example.com jose\u0301@example.com उपयोगकर्ता@example.com'],
    ['https://x.example/@ann?to=@ben&(@cleo)'],
    ['看https://例え.jp/路径@ben'],
    ['git+ssh://git@host/~@ann'],
    ['a/@ann a:@ann -@ann +@ann _@ann'],
    ['𐐀@ann'],
  ])('are not in addresses: %j', (text) => {
    expect(runs(text)).toEqual([]);
  });

  it('go on behind an address', () => {
    expect(runs('https://x.example/a，@ann <https://x.example>@ben "ftp://@c" @dan')).toEqual(['ann', 'ben', 'dan']);
  });

  it.each([
    ['dots', `@${'.'.repeat(16_000)}a`],
    ['signs', '@'.repeat(16_000)],
    ['signs and dots', '@.'.repeat(8000)],
    ['marks', `a${'\u0301'.repeat(8000)}@a`],
    ['marks with signs', '\u0301@a'.repeat(5000)],
    ['schemes', '://@a'.repeat(3200)],
    ['one scheme', `http://${'@a,'.repeat(5000)}`],
  ])('are found in one pass: %s', (_, text) => {
    let reads = 0;
    // counts what is read instead of the time it takes
    const counted = {
      length: text.length,
      charAt: (n: number) => (reads++, text.charAt(n)),
      indexOf: (what: string, from = 0) => {
        const found = text.indexOf(what, from);
        reads += (found === -1 ? text.length : found) - from + 1;
        return found;
      },
      slice: (from: number, to: number) => ((reads += Math.max(0, to - from)), text.slice(from, to)),
    } as unknown as string;
    for (const run of mentionRuns(counted)) expect(run.at).toBeGreaterThanOrEqual(0);
    expect(reads).toBeLessThan(text.length * 12);
    mentionsIn(text, [], limits.mentions);
  });

  it('are the same for the server and for what is drawn', () => {
    for (const text of ['请问@ben在吗', 'x@ben', 'https://x/@ben', '@ben.', 'é@ben']) {
      const known = mentionsIn(text, [], 10)?.names.map((forms) => forms.find((id) => id === 'ben')) ?? [];
      expect(drawn(text, (id) => id === 'ben').map(({ id }) => id)).toEqual(known);
    }
    expect(inWord('a@', 1)).toBe(true);
    expect(inWord('我@', 1)).toBe(false);
  });
});
