import { describe, expect, it } from 'vitest';
import { candidatesFor, suffixes } from '../../src/web/chat/composer/candidates.ts';
import { codeSpans } from '../../src/web/chat/text/code-spans.ts';
import { mentionsIn, queryAt, toDraft, toWire } from '../../src/web/chat/text/mentions.ts';
import { isEmojiOnly, pieces, summaryOf, textOf } from '../../src/web/chat/text/text.ts';

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

const at = (text: string): string | undefined => queryAt(text, text.length, new Map([['Ben', 'guest-1']]))?.query;
const member = (user: string, name: string) => ({ user, name, role: 'member' as const, read: 0, joinedAt: 0 });

const isOnline = (id: string): boolean => id !== 'guest-aaaa1111';
const lastSeq = (id: string): number => ({ 'guest-aaaa1111': 9, 'guest-cccc2222': 5 })[id] ?? 0;

describe('mentions', () => {
  const names: Record<string, string> = { 'guest-1': 'Ben', 'guest-2-': 'Ben Miller', 'guest-3': 'Ben' };
  const found = (text: string): string[] => mentionsIn(text, (id) => id in names).map(({ id }) => id);

  it('are found where the server finds them, and nowhere else', () => {
    expect(found('@guest-1, (@guest-1) and @guest-2-. @room!')).toEqual(['guest-1', 'guest-1', 'guest-2-', 'room']);
    expect(found('ann@guest-1 @nobody `@guest-1` @guest-12')).toEqual([]);
  });

  it('are written by name and sent by id, the longer name first', () => {
    const picked = new Map([
      ['Ben', 'guest-1'],
      ['Ben Miller', 'guest-2-'],
    ]);
    expect(toWire('@Ben Miller, @Ben. x@Ben @Benjamin @Ben-2', picked)).toBe(
      '@guest-2-, @guest-1. x@Ben @Benjamin @Ben-2',
    );
    expect(toDraft('@guest-2- or @guest-1?', (id) => names[id])).toEqual({
      draft: '@Ben Miller or @Ben?',
      picked: new Map([...picked].toReversed()),
    });
  });

  it('come back as they were, also where two have the same name', () => {
    const text = '@guest-1 and @guest-3, @room';
    const { draft, picked } = toDraft(text, (id) => names[id]);
    expect(draft).toBe('@Ben and @guest-3, @room');
    expect(toWire(draft, picked)).toBe(text);
  });

  it('begin with an @ at the start of a word', () => {
    expect([at('hi @'), at('@be'), at('(@Eva M'), at('a@be'), at('@ben x y'), at('@Ben and')]).toEqual([
      '',
      'be',
      'Eva M',
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('offer names that begin so before words of names, and everybody to users with the permission', () => {
    const members = [member('u1', 'Ann'), member('u2', 'Rob Anders'), member('u3', 'Me'), member('ro9', 'Zed')];
    const activity = { online: () => undefined, lastSeq: () => 0 };
    const offered = (query: string, all = true): string[] =>
      candidatesFor({ query, members, me: 'u3', all, activity }).map(({ id }) => id);
    expect(offered('an')).toEqual(['u1', 'u2']);
    expect(offered('ro')).toEqual(['u2', 'ro9', 'room']);
    expect(offered('ro', false)).toEqual(['u2', 'ro9']);
    expect(offered('me')).toEqual([]);
  });

  it('offer online users first, then the latest authors, and label equal names', () => {
    const members = [
      member('guest-aaaa1111', 'Ben'),
      member('guest-bbbb1111', 'ben '),
      member('guest-cccc2222', 'Ben'),
      member('guest-dddd', 'Bea'),
    ];
    const offered = candidatesFor({
      query: 'b',
      members,
      me: 'x',
      all: false,
      activity: { online: isOnline, lastSeq },
    });
    expect(offered.map(({ id, about }) => [id, about])).toEqual([
      ['guest-cccc2222', '…c2222'],
      ['guest-dddd', undefined],
      ['guest-bbbb1111', '…b1111'],
      ['guest-aaaa1111', '…a1111'],
    ]);
    const short = suffixes([
      { user: 'x', name: 'Al' },
      { user: 'yx', name: 'AL' },
    ]);
    expect([short('x'), short('yx')]).toEqual(['x', 'yx']);
  });
});

/** Milliseconds of processor time, of the best of several runs: other programs may take the processor. */
const best = (work: () => unknown): number =>
  Math.min(
    ...Array.from({ length: 7 }, () => {
      const from = process.cpuUsage();
      work();
      return process.cpuUsage(from).user / 1000;
    }),
  );

const growing = (length: number): string => {
  let text = '';
  for (let run = 1; text.length < length; run += 1) text += `${'`'.repeat(run)}a`;
  return text.slice(0, length);
};

const href = (text: string): string | undefined => pieces(text).find((piece) => piece.href !== undefined)?.text;
const spans = (text: string): string[] => codeSpans(text).map(([from, to]) => text.slice(from, to));

describe('text that is made to be slow', () => {
  const cases: [string, (length: number) => string][] = [
    ['closing brackets', (length) => `http://a.example/${')'.repeat(length)}`],
    ['closing brackets of three kinds', (length) => `http://a.example/${')]}'.repeat(length / 3)}`],
    ['stops and brackets', (length) => `http://a.example/${'.)'.repeat(length / 2)}`],
    ['addresses without a host', (length) => 'http:// '.repeat(length / 8)],
    ['addresses in one run', (length) => 'http://'.repeat(length / 7)],
    ['backticks without an end', (length) => '`'.repeat(length)],
    ['runs of backticks that never fit', (length) => '``a`'.repeat(length / 4)],
    ['growing runs of backticks', growing],
    ['open code', (length) => `@\`${'a'.repeat(length)}`],
    ['spaces', (length) => ' '.repeat(length)],
  ];

  it.each(cases)('costs in proportion to its length: %s', (_, make) => {
    const cost = (length: number): number => {
      const text = make(length);
      return best(() => {
        pieces(text);
        codeSpans(text);
        isEmojiOnly(text);
        summaryOf({ body: { text } });
      });
    };
    cost(1000);
    const [short, long] = [cost(15_000), cost(60_000)];
    // Four times as long: a quadratic scan takes 16 times as long, and seconds.
    expect(long < 100 || long < short * 10).toBe(true);
  });

  it('is cut as before: brackets, stops and code', () => {
    expect(href('see (http://a.example/x(y)).')).toBe('http://a.example/x(y)');
    expect(href('http://a.example/[x]]}')).toBe('http://a.example/[x]');
    expect(href(`http://a.example/${')'.repeat(15_000)}`)).toBe('http://a.example/');
    expect(href(`http://a.example/${'x'.repeat(3000)}`)).toBeUndefined();
    expect(spans('a `b` ``c`d`` `e')).toEqual(['`b`', '`c`', '` `']);
    const pattern = /(`+)[^`]+\1/gu;
    for (let n = 0; n < 4096; n += 1) {
      const text = Array.from({ length: 12 }, (_, bit) => ((n >> bit) & 1 ? '`' : 'x')).join('');
      expect([text, spans(text)]).toEqual([text, [...text.matchAll(pattern)].map(([span]) => span)]);
    }
  });
});
