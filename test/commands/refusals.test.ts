/** Refusals that name a time to wait go out after a pause: without it, one user got 50,000 refusals a second. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Refusals } from '../../src/commands/refusals.ts';
import { openConnection } from '../support/connection.ts';

let refusals: Refusals;
beforeEach(() => {
  vi.useFakeTimers();
  refusals = new Refusals();
});
afterEach(() => {
  refusals.stop();
  vi.useRealTimers();
});

it('a client that repeats a command at each refusal gets at most twenty of these a second', () => {
  const { connection, sent } = openConnection();
  let answered = 0;
  for (let elapsed = 0; elapsed < 1000; elapsed++) {
    if (elapsed === 0 || sent.length > answered) {
      answered = sent.length;
      refusals.send(connection, ['refused']);
    }
    vi.advanceTimersByTime(1);
  }
  expect(answered).toBeGreaterThanOrEqual(1000 / 150);
  expect(answered).toBeLessThanOrEqual(1000 / 50);
});

it('the refusals of a connection go out together and in order', () => {
  const { connection, sent } = openConnection();
  refusals.send(connection, ['first']);
  vi.advanceTimersByTime(40);
  refusals.send(connection, ['second']);
  expect(sent).toEqual([]);
  vi.advanceTimersByTime(110);
  expect(sent).toEqual(['first', 'second']);
});

it('a hundred connections are spread over the pause, and do not return together', () => {
  const all = Array.from({ length: 100 }, () => openConnection());
  for (const { connection } of all) refusals.send(connection, ['refused']);
  const count = (): number => all.filter(({ sent }) => sent.length > 0).length;
  let most = 0;
  for (let tick = 0; tick < 15; tick++) {
    const before = count();
    vi.advanceTimersByTime(10);
    most = Math.max(most, count() - before);
  }
  expect(count()).toBe(100);
  expect(most).toBe(10);
});

it('20,000 refusals wait, and the next one goes out at once', () => {
  const flood = openConnection();
  for (let n = 0; n < 20_000; n++) refusals.send(flood.connection, ['refused']);
  expect(flood.sent).toEqual([]);
  const other = openConnection();
  refusals.send(other.connection, ['refused']);
  expect(other.sent).toEqual(['refused']);
  vi.advanceTimersByTime(150);
  expect(flood.sent).toHaveLength(20_000);
  refusals.send(other.connection, ['again']);
  expect(other.sent).toEqual(['refused']);
});

it('a flush sends every refusal, and leaves no timer', () => {
  const { connection, sent } = openConnection();
  refusals.send(connection, ['refused']);
  refusals.flush();
  expect(sent).toEqual(['refused']);
  expect(vi.getTimerCount()).toBe(0);
});
