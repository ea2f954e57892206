import { describe, expect, it } from 'vitest';
import { RoomReplay, type ReplayRow } from '../../src/recovery/room-replay.ts';

const row = (rev: number, text: ReplayRow['text'] = `m${rev}`): ReplayRow => ({ rev, text });
const texts = (replay: RoomReplay, cursor: number, limit = 100, bytes = 1000): readonly string[] =>
  replay.page(cursor, 'ann', limit, bytes).texts;

describe('a replay buffer', () => {
  it('has what was sent since it began', () => {
    const replay = new RoomReplay(10, 5);
    replay.append(6, 'm6');
    replay.append(7, 'm7');
    expect([replay.start, replay.end]).toEqual([5, 7]);
    expect(replay.page(5, 'ann', 100, 1000)).toEqual({ texts: ['m6', 'm7'], bytes: 4, reached: 7, more: false });
    expect(texts(replay, 6)).toEqual(['m7']);
    expect(texts(replay, 7)).toEqual([]);
  });

  it('gives pages bounded in messages and in bytes, and at least one message', () => {
    const replay = new RoomReplay(10, 0);
    for (let rev = 1; rev <= 4; rev++) replay.append(rev, 'xxxx');
    expect(replay.page(0, 'ann', 3, 1000)).toMatchObject({ reached: 3, more: true });
    expect(replay.page(0, 'ann', 100, 5)).toMatchObject({ texts: ['xxxx', 'xxxx'], reached: 2, more: true });
    expect(replay.page(0, 'ann', 100, 0)).toMatchObject({ texts: ['xxxx'], reached: 1, more: true });
    expect(replay.page(2, 'ann', 0, 1000)).toEqual({ texts: [], bytes: 0, reached: 2, more: true });
    expect(replay.page(4, 'ann', 0, 1000)).toEqual({ texts: [], bytes: 0, reached: 4, more: false });
    expect(replay.page(3, 'ann', 1, 0)).toMatchObject({ reached: 4, more: false });
  });

  it('forgets the oldest beyond its size', () => {
    const replay = new RoomReplay(10, 0);
    for (let rev = 1; rev <= 100; rev++) replay.append(rev, 'four');
    expect(replay.end).toBe(100);
    expect(100 - replay.start).toBeGreaterThanOrEqual(10);
    expect(100 - replay.start).toBeLessThan(20);
    expect(replay.bytes).toBe((100 - replay.start) * 4);
    expect(texts(replay, 95)).toHaveLength(5);
  });

  it('begins again at a change, and at a hole', () => {
    const replay = new RoomReplay(10, 0);
    replay.append(1, 'm1');
    replay.clear(2);
    expect([replay.start, replay.end, replay.bytes]).toEqual([2, 2, 0]);
    replay.append(3, 'm3');
    replay.append(5, 'm5');
    expect([replay.start, replay.end, replay.bytes]).toEqual([5, 5, 0]);
  });

  it('takes older rows in front, as they are at a rev that it knows', () => {
    const replay = new RoomReplay(10, 5);
    replay.append(6, 'm6');
    expect(replay.prepend([row(2), row(4), row(6, 'again')], 1, 6)).toBe(true);
    expect(texts(replay, 1)).toEqual(['m2', 'm4', 'm6']);
    expect(texts(replay, 2)).toEqual(['m4', 'm6']);
    expect([replay.start, replay.bytes]).toEqual([1, 6]);
  });

  it('takes no rows from before a change, and none from after a change that was not delivered', () => {
    const replay = new RoomReplay(10, 5);
    replay.clear(7);
    expect(replay.prepend([row(3)], 1, 6)).toBe(false);
    expect(replay.prepend([row(3)], 1, 8)).toBe(false);
    expect(replay.start).toBe(7);
  });

  it('shows each viewer their own reactions', () => {
    const replay = new RoomReplay(10, 1);
    const parts = ['{"reactions":[{"emoji":"a"', '},{"emoji":"b"', '}]}'];
    replay.prepend([row(1, { parts, reactors: [new Set(['ann']), new Set(['ben'])] })], 0, 1);
    const own = (viewer: string): unknown => JSON.parse(replay.page(0, viewer, 1, 1).texts[0] ?? '');
    expect(own('ann')).toEqual({
      reactions: [
        { emoji: 'a', mine: true },
        { emoji: 'b', mine: false },
      ],
    });
    expect(own('cleo')).toEqual({
      reactions: [
        { emoji: 'a', mine: false },
        { emoji: 'b', mine: false },
      ],
    });
  });
});
