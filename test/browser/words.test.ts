/** The pure parts of what the demo says about rooms. */
import { describe, expect, it } from 'vitest';
import { editWindows, inWords, labelOf, retentions, slowModes, withPresent } from '../../src/web/ui/choices.ts';
import { isComposing } from '../../src/web/ui/input-method.ts';
import { withNames } from '../../src/web/chat/text/mention-names.ts';
import { learnNames } from '../../src/web/chat/members/people.ts';
import { givenBy, isBelow, mayIn, messageRights, offersFor } from '../../src/web/chat/rights.ts';

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

it('leaves to an input method the keys that it takes, also where the composition has ended by then', () => {
  const keys = [
    { isComposing: true, keyCode: 13 },
    { isComposing: false, keyCode: 229 },
    { isComposing: false, keyCode: 13 },
  ];
  expect(keys.map(isComposing)).toEqual([true, true, false]);
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
    expect(labelOf(retentions, undefined, 'days')).toBe('Forever');
    expect(labelOf(editWindows, 0, 's')).toBe('Forever');
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

  const message = { deletedAt: undefined, pinnedAt: undefined, thread: undefined };
  const offered = (may: ReturnType<typeof messageRights>, mine: boolean, more: object = {}): string =>
    offersFor({ message: { ...message, ...more } as never, mine, editable: true, inThread: false }, may).join(' ');

  it('over messages are what the server would allow', () => {
    const member = { kind: 'group', role: 'member' } as const;
    const owner = { kind: 'group', role: 'owner' } as const;
    expect(offered(messageRights(member, false, false), true)).toBe('react reply thread edit delete');
    expect(offered(messageRights(member, false, false), false)).toBe('react reply thread');
    expect(offered(messageRights(owner, false, false), false)).toBe('react reply thread pin delete');
    expect(offered(messageRights(owner, false, false), false, { pinnedAt: 1 })).toBe('react reply thread unpin delete');
    // Only admins write; or it is muted, and may take back what it wrote.
    expect(offered(messageRights(member, true, false), true)).toBe('react delete');
    expect(offered(messageRights(member, true, true), true)).toBe('delete');
    expect(messageRights(member, true, true).takeBack).toBe(true);
    for (const room of [{ ...owner, archived: 1 }, { kind: 'channel', role: 'guest' } as const, undefined]) {
      expect(offered(messageRights(room, true, false), true)).toBe('');
      expect(offered(messageRights(room, true, false), false, { thread: {} })).toBe('thread');
      expect(messageRights(room, true, false).takeBack).toBe(false);
    }
    expect(offered(messageRights(owner, false, false), true, { deletedAt: 1 })).toBe('');
  });

  it("over one's own messages last as long as the room says, but without a limit for moderators", () => {
    const room = { kind: 'channel', editWindow: 60 } as const;
    expect(messageRights({ ...room, role: 'member' }, false, false).editWithin).toBe(60_000);
    expect(messageRights({ ...room, role: 'admin' }, false, false).editWithin).toBe(Infinity);
    expect(messageRights({ kind: 'channel', editWindow: 0, role: 'member' }, false, false).editWithin).toBe(Infinity);
    expect(messageRights({ kind: 'direct', role: 'member' }, false, false).editWithin).toBe(Infinity);
  });

  it('are over those below', () => {
    const admin = { kind: 'group', role: 'admin' } as const;
    expect(isBelow(admin, 'member')).toBe(true);
    expect(isBelow(admin, 'admin')).toBe(false);
    expect(givenBy(admin)).toEqual(['member', 'guest']);
    expect(givenBy({ kind: 'channel', role: 'guest' })).toEqual([]);
  });
});
