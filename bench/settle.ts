/** Waits for background work of a server: memory that the server gives back, and work that goes on. */
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSeconds, rssBytes } from './lab.ts';

export interface Quiet {
  readonly quietMs: number;
  readonly longestMs: number;
}

/** @returns resident memory after `quietMs` without a change of 0.5 %, or after `longestMs`, and the time that passed. */
export async function settledRss(pid: number, { quietMs, longestMs }: Quiet): Promise<{ bytes: number; ms: number }> {
  const began = performance.now();
  let still = await rssBytes(pid);
  let since = began;
  for (;;) {
    await sleep(500);
    const now = performance.now();
    const bytes = await rssBytes(pid);
    if (Math.abs(bytes - still) >= still * 0.005) {
      still = bytes;
      since = now;
    }
    if (now - since >= quietMs || now - began >= longestMs) return { bytes, ms: now - began };
  }
}

/** Waits until these processes use less than 5 % of a core, at most 3 s, so no subject pays for the round before. */
export async function calm(pids: readonly number[]): Promise<void> {
  const spent = async (): Promise<number> =>
    (await Promise.all(pids.map(cpuSeconds))).reduce((sum, seconds) => sum + seconds, 0);
  let before = await spent();
  for (let tries = 0; tries < 15; tries++) {
    await sleep(200);
    const now = await spent();
    if (now - before <= 0.01) return;
    before = now;
  }
}
