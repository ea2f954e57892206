import { describe, expect, it } from 'vitest';
import { RoomReplay, type ReplayRow } from '../../src/recovery/room-replay.ts';

const row = (rev: number, text: ReplayRow['text'] = `m${rev}`): ReplayRow => ({ rev, text });
const texts = (tail: RoomReplay, cursor: number, limit = 100, bytes = 1000): readonly string[] =>
  tail.page(cursor, 'ann', limit, bytes).texts;

describe('a tail', () => {
  it('has what was sent since it began', () => {
    const tail = new RoomReplay(10, 5);
    tail.append(6, 'm6');
    tail.append(7, 'm7');
    expect([tail.start, tail.end]).toEqual([5, 7]);
    expect(tail.page(5, 'ann', 100, 1000)).toEqual({ texts: ['m6', 'm7'], bytes: 4, reached: 7, more: false });
    expect(texts(tail, 6)).toEqual(['m7']);
    expect(texts(tail, 7)).toEqual([]);
  });

  it('gives pages bounded in messages and in bytes, and at least one message', () => {
    const tail = new RoomReplay(10, 0);
    for (let rev = 1; rev <= 4; rev++) tail.append(rev, 'xxxx');
    expect(tail.page(0, 'ann', 3, 1000)).toMatchObject({ reached: 3, more: true });
    expect(tail.page(0, 'ann', 100, 5)).toMatchObject({ texts: ['xxxx', 'xxxx'], reached: 2, more: true });
    expect(tail.page(0, 'ann', 100, 0)).toMatchObject({ texts: ['xxxx'], reached: 1, more: true });
    expect(tail.page(2, 'ann', 0, 1000)).toEqual({ texts: [], bytes: 0, reached: 2, more: true });
    expect(tail.page(4, 'ann', 0, 1000)).toEqual({ texts: [], bytes: 0, reached: 4, more: false });
    expect(tail.page(3, 'ann', 1, 0)).toMatchObject({ reached: 4, more: false });
  });

  it('forgets the oldest beyond its size', () => {
    const tail = new RoomReplay(10, 0);
    for (let rev = 1; rev <= 100; rev++) tail.append(rev, 'four');
    expect(tail.end).toBe(100);
    expect(100 - tail.start).toBeGreaterThanOrEqual(10);
    expect(100 - tail.start).toBeLessThan(20);
    expect(tail.bytes).toBe((100 - tail.start) * 4);
    expect(texts(tail, 95)).toHaveLength(5);
  });

  it('begins anew at a change, and at a hole', () => {
    const tail = new RoomReplay(10, 0);
    tail.append(1, 'm1');
    tail.clear(2);
    expect([tail.start, tail.end, tail.bytes]).toEqual([2, 2, 0]);
    tail.append(3, 'm3');
    tail.append(5, 'm5');
    expect([tail.start, tail.end, tail.bytes]).toEqual([5, 5, 0]);
  });

  it('takes older rows in front, as they are at a rev that it knows', () => {
    const tail = new RoomReplay(10, 5);
    tail.append(6, 'm6');
    expect(tail.prepend([row(2), row(4), row(6, 'again')], 1, 6)).toBe(true);
    expect(texts(tail, 1)).toEqual(['m2', 'm4', 'm6']);
    expect(texts(tail, 2)).toEqual(['m4', 'm6']);
    expect([tail.start, tail.bytes]).toEqual([1, 6]);
  });

  it('takes none from before a change, nor from after one that it has not been told', () => {
    const tail = new RoomReplay(10, 5);
    tail.clear(7);
    expect(tail.prepend([row(3)], 1, 6)).toBe(false);
    expect(tail.prepend([row(3)], 1, 8)).toBe(false);
    expect(tail.start).toBe(7);
  });

  it('tells each viewer which reactions are their own', () => {
    const tail = new RoomReplay(10, 1);
    const parts = ['{"reactions":[{"emoji":"a"', '},{"emoji":"b"', '}]}'];
    tail.prepend([row(1, { parts, reactors: [new Set(['ann']), new Set(['ben'])] })], 0, 1);
    const own = (viewer: string): unknown => JSON.parse(tail.page(0, viewer, 1, 1).texts[0] ?? '');
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
