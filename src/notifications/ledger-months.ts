/**
 * The months of the ledger. Each month has a partition, made before the month begins, so that a month that has passed is
 * dropped and not deleted row by row. Rows of months without a partition are in `notifications_rest`.
 */
import { PeriodicTask } from '../jobs/periodic-task.ts';
import { claimTask } from '../jobs/shared-tasks.ts';
import type { postgres } from '../storage/sql.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export interface LedgerMonthsParts {
  readonly sql: postgres.Sql;
  readonly ledgerDays: number;
  readonly now: () => number;
  readonly metrics: Metrics;
  readonly log: Log;
}

const everyMs = 3_600_000;
const dayMs = 86_400_000;
const rowsAtOnce = 5000;
const prefix = 'notifications_m';

/** The task that one node does for all, every hour. */
export function ledgerMonthsTask(parts: LedgerMonthsParts): PeriodicTask {
  return new PeriodicTask({
    run: async (signal) => {
      if (await claimTask(parts.sql, 'notifications', everyMs)) await keepMonths(parts, signal);
    },
    everyMs,
    jitter: 0.3,
    failed: (error, isFirst) => {
      parts.metrics.notifications.failures.inc({ step: 'months' });
      if (!isFirst) return;
      parts.log.warn(
        { err: error },
        'Could not make or drop months of the ledger of notifications; retrying. Old notifications stay until then.',
      );
    },
  });
}

export async function keepMonths(
  { sql, ledgerDays, now }: Omit<LedgerMonthsParts, 'log' | 'metrics'>,
  signal?: AbortSignal,
): Promise<void> {
  const at = now();
  const oldest = at - ledgerDays * dayMs;
  if (await mayMake(sql)) {
    for (const month of [monthOf(at), monthOf(at, 1)]) await makeMonth(sql, month);
    await dropMonths(sql, monthOf(oldest));
  }
  let deleted: number;
  do {
    const gone = await sql`
      delete from notifications_rest where (id, at) in (
        select id, at from notifications_rest where created_at < ${oldest}::timestamptz limit ${rowsAtOnce})`;
    deleted = gone.count;
  } while (deleted === rowsAtOnce && signal?.aborted !== true);
}

/** A role that only writes rows makes no months. All rows are in `notifications_rest` then. */
async function mayMake(sql: postgres.Sql): Promise<boolean> {
  const [row] = await sql<{ may: boolean }[]>`
    select pg_has_role(relowner, 'usage') and has_schema_privilege(relnamespace, 'create') as may
    from pg_class where oid = 'notifications'::regclass`;
  return row?.may === true;
}

interface Month {
  readonly name: string;
  readonly begin: string;
  readonly end: string;
}

function monthOf(at: number, later = 0): Month {
  const date = new Date(at);
  const begin = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + later));
  const end = new Date(Date.UTC(begin.getUTCFullYear(), begin.getUTCMonth() + 1));
  const name = `${prefix}${begin.toISOString().slice(0, 7).replace('-', '_')}`;
  return { name, begin: begin.toISOString(), end: end.toISOString() };
}

/** Rows of the month that came before its partition move into the partition. */
async function makeMonth(sql: postgres.Sql, { name, begin, end }: Month): Promise<void> {
  const [known] = await sql`select from pg_class where oid = to_regclass(${name})`;
  if (known !== undefined) return;
  await sql.begin(async (tx) => {
    await tx`set local lock_timeout = '2s'`;
    // the name and the dates are made above, of digits
    await tx.unsafe(`create table ${name} (like notifications including all)`);
    await tx`
      with moved as (
        delete from notifications_rest where at >= ${begin}::timestamptz and at < ${end}::timestamptz returning *)
      insert into ${tx(name)} select * from moved`;
    await tx.unsafe(`alter table notifications attach partition ${name} for values from ('${begin}') to ('${end}')`);
  });
}

/** Drops the months before the one of the oldest kept notification. */
async function dropMonths(sql: postgres.Sql, oldest: Month): Promise<void> {
  const rows = await sql<{ name: string }[]>`
    select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'notifications'::regclass and c.relname like ${`${prefix}%`} and c.relname < ${oldest.name}`;
  for (const { name } of rows) {
    await sql.begin(async (tx) => {
      await tx`set local lock_timeout = '2s'`;
      await tx`drop table ${tx(name)}`;
    });
  }
}
