/**
 * Lets messages go that are older than their room keeps them. Of a room, in two steps:
 *
 * 1. `first_seq` and the room's rev move on in one short transaction, and the room is told `room:purged` with that rev. From
 *    then on the messages are no more, whoever asks. Cursors before that rev get `reset` from `sync`.
 * 2. Their rows, and what belongs to them, go in small batches that lock no room, so no send waits for them.
 *
 * One node does it at a time, as a rule: a round that goes on keeps the chore, and should two be at it, none waits for the
 * other or undoes its work. If a node dies between the two steps, the next round finds what is left.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type postgres from 'postgres';
import type { Fanout } from '../fanout/fanout.ts';
import type { EventData } from '../protocol/events.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { keepChore, takeChore } from './chores.ts';
import type { Writer } from './writer.ts';

export interface RetentionOptions {
  readonly sql: postgres.Sql;
  readonly fanout: Fanout;
  readonly writer: Pick<Writer, 'turns' | 'handed' | 'stripeOf'>;
  readonly metrics: Metrics;
  readonly log: Log;
  /** For rooms that say nothing themselves; undefined: they keep everything. */
  readonly retentionDays: number | undefined;
  /** Between rounds, over all nodes. */
  readonly retentionEveryMs: number;
}

const roomsPage = 500;
const rowsAtOnce = 500;
/** After each batch, as long again: at most half of one connection's time. */
const restShare = 1;

export class Retention {
  readonly #options: RetentionOptions;
  readonly #wake = new AbortController();
  #timer: NodeJS.Timeout | undefined = undefined;
  #round: Promise<void> | undefined = undefined;

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.#timer = setTimeout(() => this.#start(), 0);
  }

  async stop(): Promise<void> {
    this.#wake.abort();
    clearTimeout(this.#timer);
    await this.#round;
  }

  #start(): void {
    const { sql, metrics, log, retentionEveryMs } = this.#options;
    const round = async (): Promise<void> => {
      try {
        if (await takeChore(sql, 'retention', retentionEveryMs)) await this.run();
      } catch (error) {
        metrics.retentionFailures.inc();
        log.warn({ err: error }, 'expired messages could not be let go; it is tried again in the next round');
      }
      // nodes that began together drift apart
      if (!this.#stopped) this.#timer = setTimeout(() => this.#start(), retentionEveryMs * (0.9 + Math.random() * 0.1));
    };
    this.#round = round();
  }

  get #stopped(): boolean {
    return this.#wake.signal.aborted;
  }

  /** One round over all rooms. */
  async run(): Promise<void> {
    for (let after = ''; !this.#stopped;) {
      await this.#keep();
      const rooms = await this.#due(after);
      for (const { room, expired, remain } of rooms) {
        if (this.#stopped) return;
        if (expired !== null) await this.#expire(room, expired, false);
        if (expired !== null || remain) await this.#deleteRows(room);
      }
      const last = rooms.at(-1);
      if (last === undefined || rooms.length < roomsPage) return;
      after = last.room;
    }
  }

  #keep(): Promise<void> {
    return keepChore(this.#options.sql, 'retention', this.#options.retentionEveryMs);
  }

  /** Rooms whose oldest message has expired, or of which rows are left: a look-up each. */
  #due(after: string): Promise<{ room: string; expired: number | null; remain: boolean }[]> {
    const { sql, retentionDays } = this.#options;
    const all = retentionDays !== undefined;
    return sql<{ room: string; expired: number | null; remain: boolean }[]>`
      select p.id as room, coalesce(o.seq < p.first_seq, false) as remain,
        case when o.at < p.cutoff then greatest(first_since(p.id, p.cutoff), p.first_seq) end as expired
      from (
        select id, first_seq, clock_timestamp() - coalesce(retention_days, ${retentionDays ?? null}::integer) * interval '1 day' as cutoff
        from rooms where id > ${after} ${all ? sql`` : sql`and (retention_days is not null or first_seq > 1)`}
        order by id limit ${roomsPage}
      ) p
      left join lateral (
        select t.seq, t.created_at as at from messages t where t.room_id = p.id order by t.seq limit 1
      ) o on true
      order by p.id`;
  }

  /** In turn with the sends of its stripe: one node publishes a room's events in the order of their revs. */
  async #expire(room: string, first: number, redo: boolean): Promise<void> {
    const { sql, fanout, writer, metrics } = this.#options;
    const turns = writer.turns[writer.stripeOf(room)];
    await turns?.take(async () => {
      const [row] = await sql<{ rev: number | null; outbox_id: number | null }[]>`
        select rev, outbox_id from expire_messages(${room}, ${first}::bigint, ${redo})`;
      if (row === undefined || row.rev === null) return;
      const data: EventData<'room:purged'> = { room, rev: row.rev, first };
      fanout.publish([{ to: 'room', room, event: 'room:purged', rev: row.rev, json: JSON.stringify(data) }]);
      if (row.outbox_id !== null) writer.handed.add([row.outbox_id]);
      metrics.retentionRooms.inc();
    });
    await this.#moveReadMarks(room);
  }

  /** What nobody can read any more is not unread. */
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
      // somebody else is at the rest, or holds a thread of theirs for a moment: what they leave is for the next round
      if (!row.remain || (row.removed === 0 && !row.changed)) return;
      // changed after they had expired, as when their sender was forgotten: gone again, with a rev of its own
      if (row.changed) {
        const [{ first }] = await sql<[{ first: number }]>`select first_seq as first from rooms where id = ${room}`;
        await this.#expire(room, first, true);
      }
      const ms = (performance.now() - from) * restShare;
      await delay(ms, undefined, { signal: this.#wake.signal }).catch(() => undefined);
    }
  }
}
