import { describe, expect, it } from 'vitest';
import { candidatesFor, mentionsIn, queryAt, toDraft, toWire } from '../../src/web/mentions.ts';
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

const at = (text: string): string | undefined => queryAt(text, text.length, new Map([['Ben', 'guest-1']]))?.query;
const member = (user: string, name: string) => ({ user, name, role: 'member' as const, read: 0, joinedAt: 0 });

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

  it('are begun by an @ that stands free', () => {
    expect([at('hi @'), at('@be'), at('(@Eva M'), at('a@be'), at('@ben x y'), at('@Ben and')]).toEqual([
      '',
      'be',
      'Eva M',
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('offer names that begin so before words of names, and everybody to those who may', () => {
    const members = [member('u1', 'Ann'), member('u2', 'Rob Anders'), member('u3', 'Me'), member('ro9', 'Zed')];
    const offered = (query: string, all = true): string[] =>
      candidatesFor(query, members, 'u3', all).map(({ id }) => id);
    expect(offered('an')).toEqual(['u1', 'u2']);
    expect(offered('ro')).toEqual(['u2', 'ro9', 'room']);
    expect(offered('ro', false)).toEqual(['u2', 'ro9']);
    expect(offered('me')).toEqual([]);
  });
});
