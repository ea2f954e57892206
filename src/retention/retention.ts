/**
 * Deletes messages that are older than their room keeps them. Imports keep the times of their file and clocks go back, so
 * seqs are not in the order of times. Therefore no message expires because of its seq alone. A room takes two steps:
 *
 * 1. `first_seq` and the room's rev move on in one short transaction, and the room gets `room:purged` with that rev. From
 *    then on no read returns the messages. Cursors before that rev get `reset` from `sync`.
 * 2. Small batches that lock no room delete the rows of the messages, so no send waits for them.
 *
 * Old messages behind a younger one expire separately (`expire_late`): a batch of rows and a rev at once. The room gets
 * `behind` with that rev.
 *
 * A round under way renews its claim on the periodic task, so as a rule one node works at a time. Two nodes at once do no
 * harm: neither waits for the other or undoes its work. If a node dies between the two steps, the next round does the rest.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { postgres } from '../storage/sql.ts';
import type { Fanout } from '../fanout/fanout.ts';
import type { EventData } from '../protocol/events.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { extendClaim, claimTask } from '../jobs/shared-tasks.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';
import { behindJson } from '../messages/behind.ts';
import type { Writer } from '../messages/writer/writer.ts';

export interface RetentionOptions {
  readonly sql: postgres.Sql;
  readonly fanout: Fanout;
  readonly writer: Pick<Writer, 'mutexes' | 'outboxCleanup' | 'stripeOf'>;
  readonly metrics: Metrics;
  readonly log: Log;
  /** For rooms without a setting; undefined: such rooms keep everything. */
  readonly retentionDays: number | undefined;
  /** Between rounds, over all nodes. */
  readonly retentionEveryMs: number;
}

const roomsPage = 500;
const rowsAtOnce = 500;
/** Messages that one statement reads to find the first that is kept. */
const passedAtOnce = 50_000;
/** The pause after each batch, in lengths of the batch: retention takes at most half of one connection's time. */
const restShare = 1;

interface DueRoom {
  readonly room: string;
  readonly first: number;
  /** Older messages have expired; milliseconds since 1970. Null: the room keeps everything. */
  readonly cutoff: number | null;
  /** The oldest message of the room has expired. */
  readonly expired: boolean;
  /** A message behind a younger one has expired. */
  readonly late: boolean;
  /** Messages that expired before still have rows. */
  readonly remain: boolean;
}

/** Nodes that began together drift apart. */
const jitter = 0.1;

export class Retention {
  readonly #options: RetentionOptions;
  readonly #task: PeriodicTask;

  constructor(options: RetentionOptions) {
    this.#options = options;
    const { sql, metrics, log, retentionEveryMs } = options;
    this.#task = new PeriodicTask({
      run: async () => {
        if (await claimTask(sql, 'retention', retentionEveryMs)) await this.run();
      },
      everyMs: retentionEveryMs,
      jitter,
      failed: (error) => {
        metrics.retentionFailures.inc();
        log.warn(
          { err: error },
          'Could not delete expired messages; retrying in the next round. Rooms keep them until then.',
        );
      },
    });
    this.#task.start();
  }

  stop(): Promise<void> {
    return this.#task.stop();
  }

  get #stopped(): boolean {
    return this.#task.signal.aborted;
  }

  /** One round over all rooms. */
  async run(): Promise<void> {
    for (let after = ''; !this.#stopped;) {
      await this.#keep();
      const rooms = await this.#due(after);
      for (const due of rooms) {
        if (this.#stopped) return;
        const expired = due.expired ? await this.#firstKept(due) : undefined;
        if (expired !== undefined) await this.#expire(due.room, expired, false);
        if (due.late) await this.#expireLate(due);
        if (expired !== undefined || due.remain) await this.#deleteRows(due.room);
      }
      const last = rooms.at(-1);
      if (last === undefined || rooms.length < roomsPage) return;
      after = last.room;
    }
  }

  #keep(): Promise<void> {
    return extendClaim(this.#options.sql, 'retention', this.#options.retentionEveryMs);
  }

  /** Rooms with an expired message, or with rows of one: three subqueries a room. */
  #due(after: string): Promise<DueRoom[]> {
    const { sql, retentionDays } = this.#options;
    const all = retentionDays !== undefined;
    return sql<DueRoom[]>`
      select p.id as room, p.first_seq as first, p.cutoff, coalesce(o.seq < p.first_seq, false) as remain,
        coalesce(k.at < p.cutoff, false) as expired,
        exists (
          select from message_order m
          where m.room_id = p.id and not m.expired and m.at < p.cutoff and m.seq >= p.first_seq) as late
      from (
        select id, first_seq, clock_timestamp() - coalesce(retention_days, ${retentionDays ?? null}::integer) * interval '1 day' as cutoff
        from rooms where id > ${after} ${all ? sql`` : sql`and (retention_days is not null or first_seq > 1)`}
        order by id limit ${roomsPage}
      ) p
      left join lateral (select t.seq from messages t where t.room_id = p.id order by t.seq limit 1) o on true
      left join lateral (
        select least(t.created_at, m.ordered_at) as at from messages t
        left join message_order m on m.room_id = t.room_id and m.seq = t.seq
        where t.room_id = p.id and t.seq >= p.first_seq order by t.seq limit 1
      ) k on true
      order by p.id`;
  }

  /** Reads every message up to the first one that is kept, in steps. @returns undefined: no message expires. */
  async #firstKept({ room, first, cutoff }: DueRoom): Promise<number | undefined> {
    let kept = first;
    for (let more = true; more;) {
      if (this.#stopped || cutoff === null) return undefined;
      await this.#keep();
      const [step] = await this.#options.sql<{ first: number; more: boolean }[]>`
        select first, more from first_kept(${room}, ${cutoff}::timestamptz, ${kept}::bigint, ${passedAtOnce})`;
      kept = step?.first ?? kept;
      more = step?.more ?? false;
    }
    return kept > first ? kept : undefined;
  }

  /** In turn with the sends of its stripe, as `#expire`. */
  async #expireLate({ room, cutoff }: DueRoom): Promise<void> {
    const { sql, fanout, writer, metrics } = this.#options;
    const mutexes = writer.mutexes[writer.stripeOf(room)];
    for (let more = true; more && !this.#stopped;) {
      const from = performance.now();
      await this.#keep();
      more = false;
      await mutexes?.take(async () => {
        const [row] = await sql<{ removed: number; rev: number | null; outbox_id: number | null }[]>`
          select removed, rev, outbox_id from expire_late(${room}, ${cutoff}::timestamptz, ${rowsAtOnce})`;
        if (row === undefined || row.rev === null) return;
        fanout.publish([
          { to: 'room', room, event: 'behind', rev: row.rev, json: behindJson({ room, head: row.rev }) },
        ]);
        if (row.outbox_id !== null) writer.outboxCleanup.add([row.outbox_id]);
        metrics.retentionMessages.inc(row.removed);
        more = row.removed === rowsAtOnce;
      });
      if (more) await this.#rest(from);
    }
  }

  /** In turn with the sends of its stripe: one node publishes a room's events in the order of their revs. */
  async #expire(room: string, first: number, redo: boolean): Promise<void> {
    const { sql, fanout, writer, metrics } = this.#options;
    const mutexes = writer.mutexes[writer.stripeOf(room)];
    await mutexes?.take(async () => {
      const [row] = await sql<{ rev: number | null; outbox_id: number | null }[]>`
        select rev, outbox_id from expire_messages(${room}, ${first}::bigint, ${redo})`;
      if (row === undefined || row.rev === null) return;
      const data: EventData<'room:purged'> = { room, rev: row.rev, first };
      fanout.publish([{ to: 'room', room, event: 'room:purged', rev: row.rev, json: JSON.stringify(data) }]);
      if (row.outbox_id !== null) writer.outboxCleanup.add([row.outbox_id]);
      metrics.retentionRooms.inc();
    });
    await this.#moveReadMarks(room);
  }

  /** An expired message is not unread. */
  async #moveReadMarks(room: string): Promise<void> {
    const { sql } = this.#options;
    for (let after: string | null = ''; after !== null && !this.#stopped;) {
      const [row]: { last: string | null }[] = await sql<{ last: string | null }[]>`
        with page as materialized (
          select user_id from members where room_id = ${room} and user_id > ${after}
          order by user_id limit ${rowsAtOnce} for no key update
        ), moved as (
          update members m set last_read_seq = r.first_seq - 1 from rooms r
          where r.id = ${room} and m.room_id = r.id and m.user_id in (select user_id from page)
            and m.last_read_seq < r.first_seq - 1
        )
        select max(user_id) as last from page`;
      after = row?.last ?? null;
    }
  }

  async #deleteRows(room: string): Promise<void> {
    const { sql, metrics } = this.#options;
    while (!this.#stopped) {
      const from = performance.now();
      await this.#keep();
      const [row] = await sql<{ removed: number; remain: boolean; changed: boolean }[]>`
        select removed, remain, changed from delete_expired(${room}, ${rowsAtOnce})`;
      if (row === undefined) return;
      metrics.retentionMessages.inc(row.removed);
      // another transaction has locked the remaining rows, or their threads: the next round deletes the rest
      if (!row.remain || (row.removed === 0 && !row.changed)) return;
      // the messages changed after they had expired, as when their sender was forgotten: they expire again, with another rev
      if (row.changed) {
        const [{ first }] = await sql<[{ first: number }]>`select first_seq as first from rooms where id = ${room}`;
        await this.#expire(room, first, true);
      }
      await this.#rest(from);
    }
  }

  /** @param from when the batch before it began */
  async #rest(from: number): Promise<void> {
    const ms = (performance.now() - from) * restShare;
    await delay(ms, undefined, { signal: this.#task.signal }).catch(() => undefined);
  }
}
