import { setTimeout as delay } from 'node:timers/promises';

/**
 * Pauses of the first second, and of the time after it. A connection may send 50 commands a second, 200 at first, and
 * lists count as two. A condition that calls such a command for a long time stays within that rate.
 */
const [shortPauseMs, longPauseMs] = [10, 40];

/** Polls until the condition holds and returns its value; fails, naming what was awaited, where a test would hang. */
export async function until<T>(
  what: string | (() => string),
  condition: () => T | Promise<T>,
  limitMs = 30_000,
): Promise<Exclude<T, false | undefined | null>> {
  const startedAt = Date.now();
  for (const deadline = startedAt + limitMs; ;) {
    const value = await condition();
    if (value !== false && value !== undefined && value !== null) return value as Exclude<T, false | undefined | null>;
    if (Date.now() > deadline)
      throw new Error(`waited ${limitMs} ms in vain until ${typeof what === 'string' ? what : what()}`);
    await delay(Date.now() - startedAt < 1000 ? shortPauseMs : longPauseMs);
  }
}
