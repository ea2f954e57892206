/**
 * The relay of `parley.publish`. Back ends store messages in their own transactions, and no node publishes these. Each such
 * message has an outbox row, in which `relay` says what is owed:
 *
 * `events` ── a node publishes the event ──▶ `mentions`, if the text may mention users ── a node notes them ──▶ published.
 *
 * A notification of Postgres wakes every node at the commit, and one of them locks the row (`skip locked`). Notifications may
 * be lost, or never come through a pooler, so each node queries once a second too. A node that dies in between leaves the
 * row, and the event is published again, which does no harm: nodes drop revs that they had.
 *
 * The code that finds mentions in a text is that of the server (`mention-scan.ts`), so a node finds them after the commit. The
 * second step waits for the lock of the room, which a transaction of a back end may hold. So it is apart from the first.
 */
import type { Envelope, Fanout } from '../fanout/fanout.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';
import { mentionsOf } from '../messages/bodies/bodies.ts';
import { mentionEvents } from '../messages/mentions.ts';
import type { Notifications, postgres } from '../storage/sql.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { eventsBetween, type BackfilledEvent } from './backfill.ts';

export interface PublishRelayOptions {
  readonly sql: postgres.Sql;
  readonly fanout: Fanout;
  /** Absent: published messages are found by queries alone. */
  readonly notifications?: Notifications | undefined;
  /** Notes that a sender has read the room. */
  readonly sent: (user: string, room: string, seq: number) => void;
  readonly metrics: Metrics;
  readonly log: Log;
}

interface Entry {
  readonly room: string;
  readonly from: number;
  readonly to: number;
  readonly sent: readonly [seq: number, sender: string, at: number];
}

interface Row extends Entry {
  readonly id: number;
}

/** The channel of `publish_message`. */
const channel = 'parley_outbox';
const pollMs = 1000;
const mentionsPollMs = 5000;
/** Nodes that started together drift apart. */
const jitter = 0.3;
/** Published messages of one burst share a query. */
const leastMs = 5;
const renewMs = 5000;
const rowsAtOnce = 100;
const mentionsAtOnce = 20;

export class PublishRelay {
  readonly #options: PublishRelayOptions;
  readonly #events: PeriodicTask;
  readonly #mentions: PeriodicTask;
  readonly #tasks: readonly PeriodicTask[];
  readonly #end: () => Promise<void>;

  constructor(options: PublishRelayOptions) {
    const { notifications } = options;
    this.#options = options;
    const failed = (error: unknown, isFirst: boolean): void => this.#failed(error, isFirst);
    const pace = { everyMs: pollMs, jitter, leastMs, failed };
    this.#events = new PeriodicTask({ ...pace, run: (signal) => this.#relay(signal) });
    // a wake comes after each row that is left; the pause is for rows of nodes that died
    this.#mentions = new PeriodicTask({ ...pace, everyMs: mentionsPollMs, run: (signal) => this.#note(signal) });
    const subscription = notifications?.subscribe(channel, () => this.#events.wake());
    this.#end = () => subscription?.end() ?? Promise.resolve();
    const tasks = [this.#events, this.#mentions];
    if (subscription !== undefined) {
      const notListening = (error: unknown): void =>
        options.log.debug({ err: error }, 'Could not listen for notifications of Postgres; polling.');
      tasks.push(new PeriodicTask({ run: () => subscription.renew(), everyMs: renewMs, jitter, failed: notListening }));
    }
    this.#tasks = tasks;
    for (const task of tasks) task.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#tasks.map((task) => task.stop()));
    await this.#end();
  }

  #failed(error: unknown, isFirst: boolean): void {
    this.#options.metrics.repairFailures.inc({ what: 'outbox' });
    if (!isFirst) return;
    this.#options.log.warn(
      { err: error },
      'Could not relay messages of parley.publish; retrying. Members of their rooms get them late until then.',
    );
  }

  async #relay(signal: AbortSignal): Promise<void> {
    let rows: number;
    do {
      const relayed = await relayEvents(this.#options);
      rows = relayed.rows;
      if (relayed.mentions > 0) this.#mentions.wake();
    } while (!signal.aborted && rows === rowsAtOnce);
  }

  async #note(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (await noteMentions(this.#options)) === mentionsAtOnce);
  }
}

type Parts = Omit<PublishRelayOptions, 'log' | 'notifications'>;

/** Publishes the events of some rows. @returns the number of rows, and of those whose mentions are left to note */
async function relayEvents({ sql, fanout, sent, metrics }: Parts): Promise<{ rows: number; mentions: number }> {
  return sql.begin(async (tx) => {
    const rows = await takeRows(tx, 'events', rowsAtOnce);
    const mentioning = new Set<number>();
    for (const run of runsOf(rows)) {
      const [first, last] = [run[0] as Row, run.at(-1) as Row];
      const events = await eventsBetween(tx, first.room, first.from, last.to);
      fanout.publish(events);
      const byRev = new Map(events.map((event) => [event.rev, event]));
      for (const { id, room, from, sent: of } of run) {
        sent(of[1], room, of[0]);
        if (mayMention(byRev.get(from))) mentioning.add(id);
      }
    }
    if (rows.length === 0) return { rows: 0, mentions: 0 };
    metrics.relayed.inc(rows.length);
    const done = rows.filter(({ id }) => !mentioning.has(id)).map(({ id }) => id);
    await tx`select mark_published(${done}::bigint[])`;
    if (mentioning.size > 0) {
      await tx`update outbox set relay = 'mentions' where id = any (${[...mentioning]}::bigint[])`;
    }
    return { rows: rows.length, mentions: mentioning.size };
  });
}

/** Notes the mentions of some rows under the locks of their rooms. @returns the number of rows */
async function noteMentions({ sql, fanout }: Parts): Promise<number> {
  const mentions: Envelope[] = [];
  const count = await sql.begin(async (tx) => {
    const rows = await takeRows(tx, 'mentions', mentionsAtOnce);
    if (rows.length === 0) return 0;
    // a back end that keeps a transaction open keeps the mentions of its room waiting, and of no other room for long
    await tx`set local lock_timeout = '2s'`;
    const rooms = [...new Set(rows.map(({ room }) => room))];
    await tx`select from rooms where id = any (${rooms}::text[]) order by id for no key update`;
    for (const row of rows) mentions.push(...(await noteRow(tx, row)));
    await tx`select mark_published(${rows.map(({ id }) => id)}::bigint[])`;
    return rows.length;
  });
  fanout.publish(mentions);
  return count;
}

async function noteRow(tx: postgres.TransactionSql, { room, sent: [seq, from, at] }: Row): Promise<Envelope[]> {
  // an edit has noted the mentions of its own body
  const [message] = await tx<{ body: string }[]>`
    select body from messages where room_id = ${room} and seq = ${seq} and edited_at is null and deleted_at is null`;
  const found = message === undefined ? undefined : mentionsOf(JSON.parse(message.body));
  if (found === undefined) return [];
  const target = JSON.stringify([[room, seq, from, from, found.names, found.everybody]]);
  const noted = await tx<{ user_id: string }[]>`
    select user_id from note_mentions(${target}::text::jsonb, ${at}::timestamptz) order by user_id`;
  const users = JSON.stringify(noted.map(({ user_id: user }) => user));
  return mentionEvents({ room, seq, from, at }, users);
}

async function takeRows(tx: postgres.TransactionSql, relay: 'events' | 'mentions', most: number): Promise<Row[]> {
  const rows = await tx<{ id: number; entries: string }[]>`
    select id, entries from outbox where relay = ${relay} order by id limit ${most} for update skip locked`;
  return rows.flatMap(({ id, entries }) => (JSON.parse(entries) as Entry[]).map((entry) => ({ id, ...entry })));
}

/** Rows of one room whose revs follow each other are read in one query. */
function runsOf(rows: readonly Row[]): Row[][] {
  const runs = new Map<string, Row[][]>();
  for (const row of rows) {
    const ofRoom = runs.get(row.room) ?? [];
    const last = ofRoom.at(-1);
    if (last?.at(-1)?.to === row.from - 1) last.push(row);
    else ofRoom.push([row]);
    runs.set(row.room, ofRoom);
  }
  return [...runs.values()].flat();
}

/** Whether the body, which this node has as text, may mention users. A changed message has no event of its own. */
function mayMention(event: BackfilledEvent | undefined): boolean {
  return event?.event === 'message' && (event.json.includes('@') || event.json.includes('"mentions"'));
}
