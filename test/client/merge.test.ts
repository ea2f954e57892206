import { array, assert, nat, property, record } from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  changed,
  deletedChange,
  mergeLive,
  mergeOlder,
  mergeStored,
  messageChange,
  reactionChange,
  upsert,
} from '../../src/client/merge.ts';
import type { Change, Timeline } from '../../src/client/merge.ts';
import type { Message, Thread } from '../../src/protocol/model.ts';

/** `seq` or `seq@rev`, with the body naming the rev, so that the wrong form of a message is seen. */
function message(text: string): Message {
  const [seq = 0, rev = seq] = text.split('@').map(Number);
  const id = `00000000-0000-4000-8000-${String(seq).padStart(12, '0')}`;
  return { room: 'r', seq, rev, id, from: 'u', name: null, body: `rev ${rev}`, at: seq };
}
const list = (text: string): Message[] => text.split(' ').filter(Boolean).map(message);
const changesOf = (text: string): Change[] => list(text).map(messageChange);
const names = (messages: readonly { seq: number; rev: number }[]): string =>
  messages.map(({ seq, rev }) => (seq === rev ? `${seq}` : `${seq}@${rev}`)).join(' ');

const react = (emoji: string, change: 'add' | 'remove', count: number, user = 'ben', rev = 10): Change =>
  reactionChange({ room: 'r', seq: 4, rev, user, emoji, change, count }, 'me');
const marks = ({ reactions = [] }: Message): string =>
  reactions.map(({ emoji, count, mine }) => `${emoji}${count}${mine === true ? '*' : ''}`).join(' ');

describe('mergeLive', () => {
  const cases = [
    { name: 'takes the successor', held: '1 2', cursor: 2, live: '3', after: '1 2 3', rev: 3, waiting: '' },
    { name: 'takes a run, in any order', held: '1', cursor: 1, live: '4 2 3', after: '1 2 3 4', rev: 4, waiting: '' },
    {
      name: 'drops what history already had',
      held: '1 2 3',
      cursor: 3,
      live: '2 3',
      after: '1 2 3',
      rev: 3,
      waiting: '',
    },
    {
      name: 'takes the rest of an overlap',
      held: '1 2 3',
      cursor: 3,
      live: '2 3 4',
      after: '1 2 3 4',
      rev: 4,
      waiting: '',
    },
    { name: 'drops a duplicate', held: '1', cursor: 1, live: '2 2', after: '1 2', rev: 2, waiting: '' },
    {
      name: 'keeps back what lies behind a gap',
      held: '1',
      cursor: 1,
      live: '3 4',
      after: '1',
      rev: 1,
      waiting: '3 4',
    },
    { name: 'takes up to the gap', held: '1', cursor: 1, live: '2 4 4', after: '1 2', rev: 2, waiting: '4' },
    { name: 'changes nothing without events', held: '1', cursor: 1, live: '', after: '1', rev: 1, waiting: '' },
    { name: 'starts an empty room', held: '', cursor: 0, live: '1', after: '1', rev: 1, waiting: '' },
    { name: 'replaces an edited message', held: '1 2', cursor: 2, live: '1@3', after: '1@3 2', rev: 3, waiting: '' },
    {
      name: 'counts an edit in front of the list',
      held: '8 9',
      cursor: 9,
      live: '2@10',
      after: '8 9',
      rev: 10,
      waiting: '',
    },
  ];
  for (const { name, held, cursor, live, after, rev, waiting } of cases) {
    it(name, () => {
      const merged = mergeLive({ messages: list(held), cursor }, changesOf(live));
      expect(names(merged.timeline.messages)).toBe(after);
      expect(merged.timeline.cursor).toBe(rev);
      expect(names(merged.waiting)).toBe(waiting);
    });
  }

  it('keeps the same timeline when nothing applies, so that no listener is called', () => {
    const timeline = { messages: list('1 2'), cursor: 2 };
    expect(mergeLive(timeline, changesOf('2 5')).timeline).toBe(timeline);
  });
});

describe('mergeStored', () => {
  const cases = [
    { name: 'appends what was missed', held: '1', cursor: 1, page: '2 3', rev: 3, after: '1 2 3' },
    { name: 'replaces what was edited meanwhile', held: '1 2', cursor: 2, page: '3 1@4', rev: 4, after: '1@4 2 3' },
    { name: 'moves the cursor over an empty page', held: '1', cursor: 1, page: '', rev: 5, after: '1' },
    { name: 'never moves back', held: '1 2', cursor: 2, page: '2', rev: 1, after: '1 2' },
    { name: 'keeps the later form of a message', held: '1@9 2', cursor: 9, page: '1@5', rev: 9, after: '1@9 2' },
    { name: 'fills an empty room', held: '', cursor: 0, page: '1 2', rev: 2, after: '1 2' },
  ];
  for (const { name, held, cursor, page, rev, after } of cases) {
    it(name, () => {
      const merged = mergeStored({ messages: list(held), cursor }, { messages: list(page), rev });
      expect(names(merged.messages)).toBe(after);
      expect(merged.cursor).toBe(Math.max(cursor, rev));
    });
  }
});

describe('mergeOlder', () => {
  it('puts the page in front and leaves the cursor', () => {
    const merged = mergeOlder({ messages: list('4 5'), cursor: 5 }, list('2 3'), []);
    expect(names(merged.messages)).toBe('2 3 4 5');
    expect(merged.cursor).toBe(5);
  });

  it('applies an edit that came while the page was read', () => {
    const merged = mergeOlder({ messages: list('4 5'), cursor: 6 }, list('2 3'), changesOf('3@6'));
    expect(names(merged.messages)).toBe('2 3@6 4 5');
  });

  // A page once applied all later events: the list had a hole until the sync, and an iteration continued after it.
  it('leaves out a message that came meanwhile from behind a gap', () => {
    const merged = mergeOlder({ messages: list('4 5'), cursor: 5 }, list('2 3'), changesOf('9'));
    expect(names(merged.messages)).toBe('2 3 4 5');
  });
});

describe('upsert', () => {
  it('leaves out changes that are older than the list', () => {
    expect(names(upsert(list('5 6'), changesOf('3 7')))).toBe('5 6 7');
  });
});

describe('changed', () => {
  const plain = message('4@9');
  const liked: Message = {
    ...plain,
    reactions: [
      { emoji: '👍', count: 2, mine: true },
      { emoji: '🎉', count: 1, mine: false },
    ],
  };
  const cases: { name: string; held: Message; change: Change; after: string }[] = [
    { name: 'a first reaction', held: plain, change: react('👍', 'add', 1), after: '👍1' },
    { name: 'our first reaction', held: plain, change: react('👍', 'add', 1, 'me'), after: '👍1*' },
    { name: 'a kind more, at the end', held: liked, change: react('🚀', 'add', 1), after: '👍2* 🎉1 🚀1' },
    { name: "somebody else's, beside ours", held: liked, change: react('👍', 'add', 3), after: '👍3* 🎉1' },
    { name: 'ours, beside others', held: liked, change: react('🎉', 'add', 2, 'me'), after: '👍2* 🎉2*' },
    { name: 'ours taken back', held: liked, change: react('👍', 'remove', 1, 'me'), after: '👍1 🎉1' },
    { name: "somebody else's taken back", held: liked, change: react('👍', 'remove', 1), after: '👍1* 🎉1' },
    { name: 'the last of its kind taken back', held: liked, change: react('🎉', 'remove', 0), after: '👍2*' },
    { name: 'one taken back that is not there', held: liked, change: react('🚀', 'remove', 0), after: '👍2* 🎉1' },
    {
      name: 'a change that is older than the message',
      held: liked,
      change: react('🚀', 'add', 1, 'me', 9),
      after: '👍2* 🎉1',
    },
  ];
  for (const { name, held, change, after } of cases) {
    it(`takes ${name}`, () => {
      const now = changed(held, change);
      expect(marks(now)).toBe(after);
      expect(now.rev).toBe(Math.max(held.rev, change.rev));
      expect(now.body).toBe(held.body);
    });
  }

  it('has no empty list of reactions', () => {
    const once = changed(plain, react('👍', 'add', 1));
    expect(changed(once, react('👍', 'remove', 0, 'ben', 11))).toEqual({ ...plain, rev: 11 });
  });

  it('keeps the own marks after an edit, which carries none', () => {
    const edited: Message = {
      ...message('4@10'),
      editedAt: 7,
      reactions: [
        { emoji: '👍', count: 2 },
        { emoji: '🎉', count: 1 },
      ],
    };
    const now = changed(liked, messageChange(edited));
    expect(now).toEqual({ ...edited, reactions: liked.reactions });
  });

  it('takes the own marks from the stored message', () => {
    const stored: Message = { ...message('4@12'), reactions: [{ emoji: '👍', count: 1, mine: false }] };
    expect(changed(liked, messageChange(stored))).toBe(stored);
  });

  it('takes a deletion, and nothing older after it', () => {
    const id = plain.id;
    const gone = changed(liked, deletedChange({ room: 'r', seq: 4, rev: 11, id, by: 'ann', at: 5 }));
    expect(gone).toEqual({ ...plain, rev: 11, body: null, deletedAt: 5 });
    expect(changed(gone, react('👍', 'add', 3))).toBe(gone);
  });
});

it('a deletion takes the pin', () => {
  const pinned: Message = { ...message('4@9'), pinnedAt: 3, pinnedBy: 'ann' };
  const { room, id } = pinned;
  const gone = changed(pinned, deletedChange({ room, seq: 4, rev: 10, id, by: 'ann', at: 5 }));
  expect(gone).toEqual({ ...message('4@10'), body: null, deletedAt: 5 });
});

const threadState = (replies: number, rev: number): Thread => ({
  root: 1,
  replies,
  rev,
  lastReplyAt: rev,
  repliers: ['u'],
});
const reply = (text: string, thread: Thread): Message => ({ ...message(text), replyTo: 1, thread });
const shown = (messages: readonly Message[]): string =>
  messages.map(({ seq, thread }) => `${seq}: ${thread?.replies ?? 'none'}`).join(', ');

describe('the state of a thread', () => {
  it('comes with a reply, for its root and the other replies only', () => {
    const first = upsert(list('1 2'), [messageChange(reply('3', threadState(1, 3)))]);
    expect(shown(first)).toBe('1: 1, 2: none, 3: 1');
    const second = upsert(first, [messageChange(reply('4', threadState(2, 4)))]);
    expect(shown(second)).toBe('1: 2, 2: none, 3: 2, 4: 2');
    expect(second[1]).toBe(first[1]);
  });

  it('is that of the highest rev, in any order of arrival', () => {
    const both = [messageChange(reply('4', threadState(2, 4))), messageChange(reply('3', threadState(1, 3)))];
    expect(shown(upsert(list('1 2'), both))).toBe('1: 2, 2: none, 3: 2, 4: 2');
    expect(shown(upsert(upsert(list('1 2'), both), both.slice(1)))).toBe('1: 2, 2: none, 3: 2, 4: 2');
  });

  it('comes with the deletion of a reply, also of an unknown one', () => {
    const held = upsert(list('1 2'), [messageChange(reply('4', threadState(2, 4)))]);
    const event = { room: 'r', seq: 3, rev: 5, id: '', by: 'u', at: 5, thread: threadState(1, 5) };
    expect(shown(upsert(held, [deletedChange(event)]))).toBe('1: 1, 2: none, 4: 1');
  });

  it('reaches the root in an older page', () => {
    const timeline = { messages: [reply('4', threadState(2, 4))], cursor: 4 };
    const page = [{ ...message('1'), thread: threadState(1, 3) }, message('2'), reply('3', threadState(1, 3))];
    expect(shown(mergeOlder(timeline, page, []).messages)).toBe('1: 2, 2: none, 3: 2, 4: 2');
  });
});

it('a change of a message in front of the list moves the cursor and nothing else', () => {
  const timeline = { messages: list('8 9'), cursor: 9 };
  const event = reactionChange({ room: 'r', seq: 2, rev: 10, user: 'me', emoji: '👍', change: 'add', count: 1 }, 'me');
  const merged = mergeLive(timeline, [event]);
  expect(merged.timeline).toEqual({ messages: timeline.messages, cursor: 10 });
});

it('ends with the room as it is, whatever was missed, doubled or reordered', () => {
  const scenario = record({
    /** Each change is a new message (0) or an edit of an earlier one. */
    changes: array(nat(), { minLength: 1, maxLength: 40 }),
    cut: nat(),
    order: array(nat(), { maxLength: 80 }),
  });
  assert(
    property(scenario, ({ changes, cut, order }) => {
      const { events, stored } = play(changes);
      const known = cut % (events.length + 1);
      let timeline: Timeline = { messages: stored(known), cursor: known };
      const live = order.flatMap((pick) => events[pick % events.length] ?? []);
      const merged = mergeLive(timeline, live.map(messageChange));
      // The gap is closed by a sync at the head, then what waited is merged again.
      const missed = stored(events.length).filter(({ rev }) => rev > merged.timeline.cursor);
      timeline = mergeStored(merged.timeline, { messages: missed, rev: events.length });
      const final = mergeLive(timeline, merged.waiting);
      expect(final.waiting).toEqual([]);
      expect(final.timeline.messages).toEqual(stored(events.length));
    }),
  );
});

function play(changes: readonly number[]): { events: Message[]; stored: (rev: number) => Message[] } {
  const events: Message[] = [];
  let seq = 0;
  changes.forEach((change, at) => {
    const target = seq === 0 || change % 3 !== 0 ? ++seq : 1 + (change % seq);
    events.push(message(`${target}@${at + 1}`));
  });
  const stored = (rev: number): Message[] => {
    const present = new Map<number, Message>();
    for (const event of events.slice(0, rev)) present.set(event.seq, event);
    return [...present.values()].sort((a, b) => a.seq - b.seq);
  };
  return { events, stored };
}
