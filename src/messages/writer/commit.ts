/**
 * The commits of a stripe of the writer. A stripe's sends, its changes and its pins take turns. A commit is retried where
 * that may help, and split where a single item is at fault.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { within } from '../../jobs/within.ts';
import { ParleyError } from '../../protocol/errors.ts';
import type { Run } from '../../storage/batcher.ts';
import type { postgres } from '../../storage/sql.ts';
import { failureOf, transientReason } from '../../storage/failure.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { OutboxCleanup } from './outbox-cleanup.ts';

/** Work that takes turns, first come, first served. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs the work after the work before it has ended, also where that failed. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    // the next work must not see the failure of this one
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/**
 * Runs the work in the turns of all of these, which each caller names in one order. The first turn is held while the others
 * come, so that two callers do not wait for each other.
 */
export function takeAll<T>(mutexes: readonly Mutex[], work: () => Promise<T>): Promise<T> {
  const [first, ...others] = mutexes;
  return first === undefined ? work() : first.take(() => takeAll(others, work));
}

/** For a commit that deletes no outbox rows, because its refusal would undo the deletion. */
export const noCleanup: Pick<OutboxCleanup, 'take' | 'restore'> = {
  take: () => ({ ids: [], life: 0 }),
  restore: () => undefined,
};

export interface CommitParts<I, R, O> {
  readonly sql: postgres.Sql;
  /** One attempt, safe to try again. The attempt deletes these outbox rows too. */
  readonly store: (sql: postgres.Sql, items: I[], outboxIds: number[]) => Promise<R[]>;
  /** Publishes the events and answers each item. `again`: an earlier attempt may have taken effect. */
  readonly settle: (items: I[], rows: R[], again: boolean) => (O | Error)[];
  readonly outboxCleanup: Pick<OutboxCleanup, 'take' | 'restore'>;
  readonly metrics: Metrics;
  readonly log: Log;
  /** How long a commit is retried before its items fail with `unavailable`. */
  readonly retryMs?: number;
}

/** @returns the run of a batcher, each commit in a turn of the stripe */
export function commitsOf<I, R, O>(stripe: Mutex, parts: CommitParts<I, R, O>): Run<I, O> {
  return (items) => stripe.take(() => commit(items, parts));
}

/** Commits, retries a transient failure, and splits a batch that fails for another reason until the faulty item is alone. */
export async function commit<I, R, O>(
  items: I[],
  parts: CommitParts<I, R, O>,
  doubtful = false,
): Promise<(O | Error)[]> {
  const { sql, outboxCleanup, metrics, log, retryMs = 5000 } = parts;
  const giveUp = performance.now() + retryMs;
  let again = doubtful;
  for (let attempt = 0; ; attempt++) {
    const published = outboxCleanup.take();
    try {
      const from = performance.now();
      const rows = await within(attemptMs, parts.store(sql, items, published.ids));
      metrics.commitSeconds.observe((performance.now() - from) / 1000);
      metrics.batchSize.observe(items.length);
      return parts.settle(items, rows, again);
    } catch (error) {
      outboxCleanup.restore(published);
      const failure = failureOf(error);
      if (failure === 'transient') {
        again = true;
        const reason = transientReason(error);
        metrics.writerRetries.inc({ reason });
        if (performance.now() > giveUp) {
          log.warn(
            { err: error, messages: items.length },
            'Could not commit a batch in time. Its senders get the error `unavailable` and may send again.',
          );
          throw new ParleyError('unavailable', undefined, { retryAfter: 1000, cause: error });
        }
        await delay(Math.min(500, 5 * 2 ** attempt) * (0.5 + Math.random()));
        continue;
      }
      if (items.length > 1) {
        const middle = items.length >> 1;
        return [
          ...(await commit(items.slice(0, middle), parts, again)),
          ...(await commit(items.slice(middle), parts, again)),
        ];
      }
      if (failure === 'data')
        return [new ParleyError('invalid', 'body: the database cannot store it.', { cause: error })];
      metrics.internalErrors.inc({ where: 'writer' });
      log.error(
        { err: error },
        'Could not store a message or a change of a message. Its sender gets the error `internal`.',
      );
      return [new ParleyError('internal', undefined, { cause: error })];
    }
  }
}

/**
 * A second limit behind those of the driver and the server: a stripe never waits without a limit. A late commit may have
 * taken effect, and trying it again is safe.
 */
const attemptMs = 20_000;
