/** Jobs for deliveries whose job was lost: a crash between the commit and the queue, or a Redis that lost its data. */
import type { postgres } from '../../storage/sql.ts';
import type { LaneJob } from '../lanes/lanes.ts';
import { isBehind } from './deliveries.ts';
import { jobOf } from './delivery-job.ts';

/** Deliveries that one call puts back. */
const rowsAtOnce = 2000;

/**
 * @param olderThanMs a delivery that has been due for so long is taken
 * @returns jobs to add after the commit. A job that exists already is added without effect.
 */
export async function openDeliveries(tx: postgres.TransactionSql, olderThanMs: number): Promise<readonly LaneJob[]> {
  // `sending` too: its `due_at` is the time at which the attempt has certainly ended. The new `due_at` of the rows that are
  // taken lets the next call take other ones.
  const rows = await tx<{ id: string; behind: boolean }[]>`
    with due as (
      select d.id from webhook_deliveries d
      where d.state in ('waiting', 'sending') and d.due_at < clock_timestamp() - ${olderThanMs} * interval '1 ms'
      order by d.due_at limit ${rowsAtOnce} for update skip locked
    )
    update webhook_deliveries d set due_at = clock_timestamp()
    from due, webhooks w where d.id = due.id and w.id = d.webhook
    returning d.id, ${isBehind(tx)} as behind`;
  return rows.filter(({ behind }) => !behind).map(({ id }) => jobOf(id));
}
