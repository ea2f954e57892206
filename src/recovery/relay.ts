/**
 * The relay of the outbox. Each commit of messages has one row in the outbox, and its writer marks the row after it has
 * published the events. A row without the mark belongs to a process that died in between. The notifier
 * deletes marked rows (src/notifications/notifier.ts). Rows of `parley.publish` are those of
 * publish-relay.ts.
 *
 * With other nodes, each node queries every second for rows older than a second. The node locks some
 * (`skip locked`: no node waits for another), publishes their events and marks them. An event that is published twice does no harm: nodes drop
 * revs that they had. A lone node queries every five seconds. The clients of a dead process were its own and come back
 * with their cursors. An operator's command may still have changed something beside the server.
 */
import type { postgres } from '../storage/sql.ts';
import type { Fanout } from '../fanout/fanout.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { systemClock, type Clock } from '../jobs/clock.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';
import { pruneMembershipChanges } from '../rooms/membership-changes.ts';
import { pruneRoomChanges } from '../rooms/settings-changes.ts';
import { eventsBetween } from './backfill.ts';

export interface OutboxOptions {
  readonly sql: postgres.Sql;
  readonly fanout: Fanout;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly clock?: Clock;
}

interface Entry {
  readonly room: string;
  readonly from: number;
  readonly to: number;
}

const relayMs = 1000;
const relayAloneMs = 5000;
const sweepMs = 60_000;
/** Rows in one transaction; each may hold a commit of hundreds of messages. */
const rowsAtOnce = 10;
const prunedAtOnce = 5000;

/** Nodes that started together drift apart. */
const jitter = 0.3;

export class Relay {
  readonly #options: OutboxOptions;
  readonly #tasks: readonly PeriodicTask[];

  constructor(options: OutboxOptions) {
    this.#options = options;
    // a lone node still publishes changes of an operator's commands, such as `parley users forget`
    const alone = options.fanout.others === undefined;
    const failed = (error: unknown, isFirst: boolean): void => this.#failed(error, isFirst);
    const everyMs = alone ? relayAloneMs : relayMs;
    const { clock = systemClock } = options;
    this.#tasks = [
      new PeriodicTask({ run: (signal) => this.#relay(signal), everyMs, jitter, failed, clock }),
      new PeriodicTask({ run: (signal) => this.#sweep(signal), everyMs: sweepMs, jitter, failed, clock }),
    ];
    for (const task of this.#tasks) task.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#tasks.map((task) => task.stop()));
  }

  #failed(error: unknown, isFirst: boolean): void {
    this.#options.metrics.repairFailures.inc({ what: 'outbox' });
    if (!isFirst) return;
    this.#options.log.warn(
      { err: error },
      'Could not relay the outbox; retrying. Messages of a crashed node reach other nodes late until then.',
    );
  }

  async #relay(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (await relayOutbox(this.#options)) === rowsAtOnce);
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    for (const prune of [pruneMembershipChanges, pruneRoomChanges]) {
      while (!signal.aborted && (await prune(this.#options.sql, prunedAtOnce)) === prunedAtOnce);
    }
  }
}

/** Leaves revs to the server's relay: a command beside the server took them and cannot publish. */
export async function leaveToOutbox(tx: postgres.TransactionSql, { room, from, to }: Entry): Promise<void> {
  const entries = JSON.stringify([{ room, from, to, lanes: null }]);
  await tx`insert into outbox (entries) values (${entries}::text::jsonb)`;
}

/** Publishes rows older than a second, at most `rowsAtOnce`. @returns the number of rows */
export async function relayOutbox({ sql, fanout, metrics }: Omit<OutboxOptions, 'log' | 'clock'>): Promise<number> {
  return sql.begin(async (tx) => {
    const rows = await tx<{ id: number; entries: string }[]>`
      select id, entries from outbox where relay is null and not fanned_out and created_at < now() - interval '1 second'
      order by id limit ${rowsAtOnce} for update skip locked`;
    if (rows.length === 0) return 0;
    for (const { entries } of rows) {
      for (const { room, from, to } of JSON.parse(entries) as Entry[]) {
        const events = await eventsBetween(tx, room, from, to);
        const now = Date.now();
        for (const { at } of events) metrics.repairSeconds.observe(Math.max(0, now - at) / 1000);
        metrics.repaired.inc({ reason: 'relay' }, events.length);
        fanout.publish(events);
      }
    }
    metrics.relayed.inc(rows.length);
    await tx`select mark_published(${rows.map(({ id }) => id)}::bigint[])`;
    return rows.length;
  });
}
