/**
 * Removes the rows of deleted rooms, and ended invitations, invitation rests and kept mutes. (Links are removed when a new
 * one is made.) A transaction takes a batch of rows of one table. A pause follows, so no commit waits longer than a
 * batch. Every table with a column `room_id` is purged, members first. A node that missed the event of a deletion learns of
 * it by the changes of membership.
 *
 * Every node purges (`skip locked`), and the node that deleted a room does so at once. Other nodes find the rooms of a dead
 * node within a minute.
 */
import type { postgres } from '../storage/sql.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { PeriodicTask } from '../jobs/periodic-task.ts';
import { limits } from '../protocol/limits.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export interface RoomPurgeOptions {
  readonly sql: postgres.Sql;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Rows in one transaction. */
  readonly batch?: number;
  readonly pauseMs?: number;
  readonly everyMs?: number;
}

/** Other nodes learn of the deletion from these rows, which are deleted after an hour. */
const kept = 'membership_changes';

/** Nodes that began together drift apart. */
const jitter = 0.3;

export class RoomPurge {
  readonly #options: RoomPurgeOptions;
  readonly #task: PeriodicTask;

  constructor(options: RoomPurgeOptions) {
    this.#options = options;
    const { metrics, log, everyMs = 60_000 } = options;
    this.#task = new PeriodicTask({
      run: (signal) => this.#run(signal),
      everyMs,
      jitter,
      failed: (error) => {
        metrics.purgeFailures.inc();
        log.warn(
          { err: error },
          'Could not remove the rows of deleted rooms; retrying. They take space in Postgres until then.',
        );
      },
    });
    this.#task.start();
  }

  /** A room was deleted. */
  wake(): void {
    this.#task.wake();
  }

  stop(): Promise<void> {
    return this.#task.stop();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { sql, batch = 500, pauseMs = 10 } = this.#options;
    const tables = await tablesOfRooms(sql);
    while (!signal.aborted && this.#counted(await purgeBatch(sql, tables, batch))) await delay(pauseMs);
    while (!signal.aborted && (await removeEnded(sql, batch)) >= batch) await delay(pauseMs);
  }

  /** @returns whether there may be more. */
  #counted(purged: Purged | undefined): boolean {
    const { metrics } = this.#options;
    if (purged === 'room') metrics.purgedRooms.inc();
    else if (purged?.table === 'messages') metrics.purgedMessages.inc(purged.rows);
    return purged !== undefined;
  }
}

/** Rows of one table, or `room` when a room has no rows left. */
type Purged = { readonly table: string; readonly rows: number } | 'room';

/** Members first. */
async function tablesOfRooms(sql: postgres.Sql): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    select t.table_name::text as name from information_schema.tables t
    join information_schema.columns c on c.table_schema = t.table_schema and c.table_name = t.table_name
    -- not current_schema(): a role with the name of another schema has that one first
    where t.table_schema = (
        select n.nspname from pg_class r join pg_namespace n on n.oid = r.relnamespace where r.oid = 'rooms'::regclass
      ) and t.table_type = 'BASE TABLE' and c.column_name = 'room_id'
      and t.table_name <> ${kept}
    order by t.table_name <> 'members', t.table_name`;
  return rows.map(({ name }) => name);
}

/** @returns undefined when no deleted room has rows left. */
async function purgeBatch(sql: postgres.Sql, tables: readonly string[], batch: number): Promise<Purged | undefined> {
  return sql.begin(async (tx) => {
    const [room] = await tx<{ id: string }[]>`
      select id from deleted_rooms where purged_at is null order by deleted_at limit 1 for update skip locked`;
    if (room === undefined) return undefined;
    for (const table of tables) {
      const { count: rows } = await tx`
        delete from ${tx(table)}
        where ctid = any (array(
          select ctid from ${tx(table)} where room_id = ${room.id} limit ${batch} for update skip locked))`;
      // a statement from before the deletion may hold rows: to wait for it with locked rows could be a deadlock
      if (rows > 0 || (await tx`select from ${tx(table)} where room_id = ${room.id} limit 1`).count > 0)
        return { table, rows };
    }
    await tx`update deleted_rooms set purged_at = now() where id = ${room.id}`;
    return 'room';
  });
}

/** @returns the most rows that were removed from one table. */
async function removeEnded(sql: postgres.Sql, batch: number): Promise<number> {
  const invitations = await sql`
    delete from invitations
    where ctid = any (array(select ctid from invitations where expires_at < now() limit ${batch} for update skip locked))`;
  const mutes = await sql`
    delete from kept_mutes
    where ctid = any (array(select ctid from kept_mutes where muted_until < now() limit ${batch} for update skip locked))`;
  const rests = await sql`
    delete from invitation_rests
    where ctid = any (array(select ctid from invitation_rests where rests_until < now() limit ${batch} for update skip locked))`;
  const ids = await sql`
    delete from deleted_rooms where ctid = any (array(
      select ctid from deleted_rooms
      where purged_at is not null and deleted_at < now() - ${`${limits.deletedRoomDays} days`}::text::interval
      order by deleted_at limit ${batch} for update skip locked))`;
  const edits = await sql`
    delete from slow_edits where ctid = any (array(
      select ctid from slow_edits
      where at < now() - ${limits.slowModeSeconds} * interval '1 s' limit ${batch} for update skip locked))`;
  return Math.max(invitations.count, mutes.count, rests.count, ids.count, edits.count);
}
