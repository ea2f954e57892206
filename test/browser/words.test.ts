/** The pure parts of what the demo says about rooms. */
import { describe, expect, it } from 'vitest';
import { editWindows, inWords, labelOf, retentions, slowModes, withPresent } from '../../src/web/choices.ts';
import { withNames } from '../../src/web/mention-names.ts';
import { learnNames } from '../../src/web/people.ts';
import { givenBy, isBelow, mayIn } from '../../src/web/rights.ts';

describe('mentions in a text', () => {
  it('become names where these are known, and stay as they are otherwise', () => {
    learnNames([
      { id: 'ann.l', name: 'Ann' },
      { id: 'ben', name: 'Ben' },
    ]);
    expect(withNames('@ann.l, ask @ben.')).toBe('@Ann, ask @Ben.');
    expect(withNames('@ben: (@ben) mail@ben')).toBe('@Ben: (@Ben) mail@ben');
    expect(withNames('@nobody and @room, a@ b')).toBe('@nobody and @room, a@ b');
  });
});

describe('lengths of time', () => {
  it('are said in the largest unit that is whole', () => {
    expect([1, 90, 300, 7200, 172_800].map(inWords)).toEqual([
      '1 second',
      '90 seconds',
      '5 minutes',
      '2 hours',
      '2 days',
    ]);
  });

  it('offer the present one too', () => {
    expect(withPresent(slowModes, 42, 's').at(-1)).toEqual({ value: 42, label: '42 seconds' });
    expect(withPresent(slowModes, 30, 's')).toHaveLength(slowModes.length);
    expect(labelOf(retentions, 14, 'days')).toBe('14 days');
    expect(labelOf(retentions, undefined, 'days')).toBe('For ever');
    expect(labelOf(editWindows, 0, 's')).toBe('For ever');
  });
});

describe('rights', () => {
  it('are those of the table, and end with the archive', () => {
    const owner = { kind: 'group', role: 'owner' } as const;
    expect(mayIn(owner, 'update')).toBe(true);
    expect(mayIn({ ...owner, archived: 1 }, 'update')).toBe(false);
    expect(mayIn({ ...owner, archived: 1 }, 'archive')).toBe(true);
    expect(mayIn({ kind: 'channel', role: 'member' }, 'invite')).toBe(true);
    expect(mayIn({ kind: 'channel', role: null }, 'read')).toBe(false);
    expect(mayIn(undefined, 'read')).toBe(false);
  });

  it('are over those below', () => {
    const admin = { kind: 'group', role: 'admin' } as const;
    expect(isBelow(admin, 'member')).toBe(true);
    expect(isBelow(admin, 'admin')).toBe(false);
    expect(givenBy(admin)).toEqual(['member', 'guest']);
    expect(givenBy({ kind: 'channel', role: 'guest' })).toEqual([]);
  });
});
