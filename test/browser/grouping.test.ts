import { describe, expect, it, vi } from 'vitest';
import type { Message } from '../../src/client/index.ts';
import { rowsOf, type Row } from '../../src/web/chat/conversation/grouping.ts';

const day = 86_400_000;
const noon = new Date(2026, 5, 15, 12).getTime();
const message = (seq: number, at: number, from = 'ann'): Message => ({
  room: 'r',
  seq,
  rev: seq,
  id: `00000000-0000-4000-8000-${String(seq).padStart(12, '0')}`,
  from,
  name: null,
  body: { text: 'x' },
  at,
});
const rowsFor = (messages: Message[]): Row[] =>
  rowsOf({ messages, outgoing: [], me: { id: 'me', name: null }, unreadAfter: undefined });
const days = (rows: Row[]): number[] => rows.flatMap((row) => (row.kind === 'day' ? [row.at] : []));
const midnight = (at: number): number => new Date(at).setHours(0, 0, 0, 0);

describe('the rows of a room', () => {
  it('open a day once, and not yesterday again for a clock that is behind', () => {
    const at = [noon - day, noon, noon - day + 1, noon + 1, noon + day];
    expect(days(rowsFor(at.map((one, n) => message(n + 1, one))))).toEqual(
      [noon - day, noon, noon + day].map(midnight),
    );
  });

  it('give a message from days before a day of its own, with a key of its own', () => {
    const at = [noon, noon - 400 * day, noon + 1, noon - 400 * day + 1];
    const rows = rowsFor(at.map((one, n) => message(n + 1, one)));
    expect(days(rows)).toEqual(at.map(midnight));
    expect(new Set(rows.map(({ key }) => key)).size).toBe(rows.length);
  });

  it('are made without looking back through the rows of a day', () => {
    let reads = 0;
    const { findLast } = Array.prototype;
    const spy = vi.spyOn(Array.prototype, 'findLast').mockImplementation(function (this: unknown[], ...args) {
      reads += this.length;
      return findLast.apply(this, args) as unknown;
    });
    const rows = rowsFor(Array.from({ length: 2000 }, (_, n) => message(n + 1, noon + n, n % 2 === 0 ? 'ann' : 'ben')));
    spy.mockRestore();
    expect(rows).toHaveLength(2001);
    expect(reads).toBe(0);
  });
});
