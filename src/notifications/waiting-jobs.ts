/**
 * The jobs of rows that wait. A row gets its job when it is due within `aheadMs`, so that a night of quiet hours does not wait
 * in a queue. The sweep gives jobs to rows that come near, and to rows whose job is lost. A job that is there already stays the
 * only one, because its id is that of the row.
 */
import type { postgres } from '../storage/sql.ts';
import type { Log } from '../telemetry/log.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { LaneJob, Lanes } from './lanes/lanes.ts';
import type { LedgerRow } from './ledger-rows.ts';

/** The handler of the rows of the app. The handler of another channel has the name of its channel. */
export const jobKind = 'notification';

export const aheadMs = 60_000;
const sweepMs = 10_000;
/** A row whose job came so long ago and did not run gets the job again. */
const lostMs = 20_000;
const rowsAtOnce = 1000;

interface Parts {
  readonly lanes: Pick<Lanes, 'add'>;
  readonly now: () => number;
  readonly metrics: Metrics;
  readonly log: Log;
}

type Queued = Pick<LedgerRow, 'id' | 'at' | 'channel' | 'lane' | 'due'>;

export function jobOf({ id, at, channel, lane, due }: Queued): LaneJob {
  return { id, lane, kind: channel === 'app' ? jobKind : channel, data: { at }, notBefore: due };
}

/** Adds the jobs of stored rows. Without the lanes the sweep adds them later, so a failure is no error of the caller. */
export async function addJobs(rows: readonly LedgerRow[], { lanes, now, metrics, log }: Parts): Promise<void> {
  const soon = now() + aheadMs;
  const jobs = rows.filter(({ due }) => due <= soon).map(jobOf);
  if (jobs.length === 0) return;
  try {
    await lanes.add(jobs);
  } catch (error) {
    metrics.notifications.failures.inc({ step: 'jobs' });
    log.debug({ err: error }, 'Could not add the jobs of notifications; the sweep adds them within 30 s.');
  }
}

export interface SweepParts extends Parts {
  readonly sql: postgres.Sql;
}

/** The task of each node: rows without a job get one within 30 s. Nodes share the rows (`skip locked`). */
export function sweepTask(parts: SweepParts): PeriodicTask {
  return new PeriodicTask({
    run: async (signal) => {
      while (!signal.aborted && (await sweep(parts)) === rowsAtOnce);
    },
    everyMs: sweepMs,
    jitter: 0.3,
    failed: (error, isFirst) => {
      parts.metrics.notifications.failures.inc({ step: 'jobs' });
      if (!isFirst) return;
      parts.log.warn(
        { err: error },
        'Could not give jobs to waiting notifications; retrying. Notifications whose job is lost come late until then.',
      );
    },
  });
}

/** @returns the number of rows that got a job */
export async function sweep({ sql, lanes }: Pick<SweepParts, 'sql' | 'lanes'>): Promise<number> {
  return sql.begin(async (tx) => {
    // a lease that is over: the worker died in the attempt, and nobody knows whether the device got the push
    const rows = await tx<Queued[]>`
      update notifications n set queued_at = clock_timestamp(),
        state = case when n.state = 'sending' then 'unknown' else n.state end
      from (
        select w.id, w.at from notifications w
        where w.state in ('waiting', 'unknown') and w.due_at < clock_timestamp() + ${aheadMs} * interval '1 ms'
            and coalesce(w.queued_at, w.updated_at) < clock_timestamp() - ${lostMs} * interval '1 ms'
          or w.state = 'sending' and w.due_at < clock_timestamp()
        order by w.due_at limit ${rowsAtOnce} for update skip locked
      ) x
      where n.id = x.id and n.at = x.at
      returning n.id, n.at, n.channel, n.lane, n.due_at as due`;
    // within the transaction: rows that got no job are swept again
    if (rows.length > 0) await lanes.add(rows.map(jobOf));
    return rows.length;
  });
}
