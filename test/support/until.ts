import { setTimeout as delay } from 'node:timers/promises';

/** Polls until the condition holds and returns its value; fails, naming what was awaited, where a test would hang. */
export async function until<T>(
  what: string | (() => string),
  condition: () => T | Promise<T>,
  limitMs = 15_000,
): Promise<Exclude<T, false | undefined | null>> {
  for (const deadline = Date.now() + limitMs; ;) {
    const value = await condition();
    if (value !== false && value !== undefined && value !== null) return value as Exclude<T, false | undefined | null>;
    if (Date.now() > deadline)
      throw new Error(`waited ${limitMs} ms in vain until ${typeof what === 'string' ? what : what()}`);
    await delay(10);
  }
}
