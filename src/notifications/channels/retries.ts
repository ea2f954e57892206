/** The outcome of an attempt as the next state of its row. */
import type { ChannelRow, Outcome } from './channel.ts';
import type { Settled } from './attempts.ts';

export interface RetrySettings {
  /** The longest pause before the second attempt; doubled by each further one. */
  readonly retryMs: number;
  /** After this time since its row a notification is dead. */
  readonly giveUpMs: number;
}

const capMs = 3_600_000;
const maxErrorLength = 300;

/** @param outcome undefined: the process stops, and another one tries again. */
export function attemptOf(
  row: ChannelRow,
  outcome: Outcome | undefined,
  { retryMs, giveUpMs }: RetrySettings,
  now: number,
): Settled {
  const base = { id: row.id, at: row.at, attempts: row.attempts + 1, reason: null, error: null, due: now };
  if (outcome === undefined) return { ...base, state: 'waiting', error: 'The node stopped during the attempt.' };
  if (outcome.kind === 'sent') return { ...base, state: 'sent' };
  const error = outcome.error.slice(0, maxErrorLength);
  if (outcome.kind === 'gone') return { ...base, state: 'dropped', reason: 'no_device', error };
  if (outcome.kind !== 'failed') return { ...base, state: 'dead', error };
  // exponential, with full jitter
  const pauseMs = Math.random() * Math.min(capMs, retryMs * 2 ** Math.min(row.attempts, 30));
  const due = Math.ceil(now + Math.max(pauseMs, outcome.waitMs ?? 0));
  return due >= row.noted_at + giveUpMs ? { ...base, state: 'dead', error } : { ...base, state: 'waiting', error, due };
}
