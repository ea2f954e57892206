/**
 * The notifier takes the commits of the outbox. The notifier stores a row of the ledger for each recipient, and a delivery for each
 * webhook. The second mark of an outbox row is set in the transaction of these rows. So no commit is without its
 * notifications, whatever process dies.
 *
 * One node at a time expands (an advisory lock), in the order of the outbox, which is the order of the revs of each room. A
 * message of `parley.publish` waits for its relay, and later commits of its room wait with it (`ready` below). A row of the ledger
 * has a key of its own, so a second expansion stores nothing. The mark alone locks the outbox rows, at the end of the
 * transaction. So a writer, which sets the other mark with its next commit, does not wait for an expansion.
 *
 * A node wakes its notifier when it publishes events of a room. Commits of other nodes come within `pollMs`. An expansion
 * gathers for `gatherMs`, so that many commits share its statements.
 */
import type { Envelope, Fanout, Observer } from '../fanout/fanout.ts';
import type { Channel } from '../protocol/notifications.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';
import type { Activity } from '../presence/activity.ts';
import type { Presence } from '../presence/presence.ts';
import { notifierLock } from '../storage/locks.ts';
import type { postgres } from '../storage/sql.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { announce } from './announce.ts';
import { candidatesOf, devicesOf, EntryLanes, factsOf, type CandidateRow, type OutboxEntry } from './candidates.ts';
import { decide } from './decide.ts';
import type { LaneJob, Lanes } from './lanes/lanes.ts';
import { insertRows, stateOf, type LedgerRow } from './ledger-rows.ts';
import { notificationId } from './notification-id.ts';
import { addJobs } from './waiting-jobs.ts';
import { committedEvents } from './webhooks/committed-events.ts';
import { noteEvents } from './webhooks/note-events.ts';

export interface NotifierParts {
  /** False: messages notify nobody, and the commits of the outbox are done. */
  readonly on: boolean;
  readonly sql: postgres.Sql;
  readonly fanout: Pick<Fanout, 'publish' | 'observe'>;
  readonly presence: Pick<Presence, 'read'>;
  readonly activity: Pick<Activity, 'of'>;
  readonly lanes: Pick<Lanes, 'add'>;
  /** The lanes of the jobs that leave the server. */
  readonly outwardLanes: Pick<Lanes, 'add'>;
  /** The clock of Postgres. */
  readonly now: () => number;
  readonly metrics: Metrics;
  readonly log: Log;
}

const pollMs = 1000;
const gatherMs = 50;
/** Another node expands, and may have begun before the commits of this node. */
const busyMs = 50;
const jitter = 0.3;
const commitsAtOnce = 200;
/** A delivery has a copy of its message, so that a transaction for webhooks takes fewer commits. */
const commitsOfWebhooks = 20;
/** Commits of a room wait so long for the relay of an earlier one. */
const relayMs = 30_000;
const retry = { baseMs: 200, capMs: 5000 };

interface Expanded {
  readonly commits: number;
  /** Whether further commits may be ready. */
  readonly more: boolean;
  readonly sent: readonly LedgerRow[];
  readonly waiting: readonly LedgerRow[];
  readonly deliveries: readonly LaneJob[];
}

interface Commit {
  readonly id: number;
  readonly entries: readonly OutboxEntry[];
  /** Seconds since the commit. */
  readonly waited: number;
}

export class Notifier implements Observer {
  readonly #parts: NotifierParts;
  readonly #task: PeriodicTask;
  /** After a failure one commit at a time, so that a commit that cannot be expanded holds up only those behind it. */
  #atOnce = commitsAtOnce;

  constructor(parts: NotifierParts) {
    this.#parts = parts;
    this.#task = new PeriodicTask({
      run: (signal) => this.#run(signal),
      everyMs: pollMs,
      jitter,
      leastMs: gatherMs,
      retry,
      failed: (error, isFirst) => this.#failed(error, isFirst),
    });
    parts.fanout.observe(this);
  }

  start(): void {
    this.#task.start();
  }

  published(envelopes: readonly Envelope[]): void {
    if (envelopes.some((envelope) => envelope.to === 'room' && envelope.rev !== undefined)) this.#task.wake(gatherMs);
  }

  /** Resolves after a run that began after the call. */
  ran(): Promise<void> {
    return this.#task.ran();
  }

  stop(): Promise<void> {
    return this.#task.stop();
  }

  #failed(error: unknown, isFirst: boolean): void {
    this.#atOnce = 1;
    this.#parts.metrics.notifications.failures.inc({ step: 'expand' });
    if (!isFirst) return;
    this.#parts.log.warn(
      { err: error },
      'Could not store notifications; retrying. Users get them late, and the outbox keeps the commits until then.',
    );
  }

  async #run(signal: AbortSignal): Promise<void> {
    let expanded: Expanded | 'busy';
    do {
      expanded = await this.#expand(this.#atOnce);
      if (expanded === 'busy') return this.#task.wake(busyMs);
      if (expanded.commits > 0) this.#atOnce = Math.min(commitsAtOnce, this.#atOnce * 2);
      await addJobs(expanded.waiting, this.#parts);
      await this.#addDeliveries(expanded.deliveries);
      await announce(expanded.sent, this.#parts);
    } while (!signal.aborted && expanded.more);
  }

  /** Without the lanes the upkeep of webhooks adds the jobs later. */
  async #addDeliveries(jobs: readonly LaneJob[]): Promise<void> {
    if (jobs.length === 0) return;
    const { outwardLanes, metrics, log } = this.#parts;
    try {
      await outwardLanes.add(jobs);
    } catch (error) {
      metrics.notifications.failures.inc({ step: 'jobs' });
      log.debug({ err: error }, 'Could not add the jobs of webhooks; their upkeep adds them later.');
    }
  }

  /** One transaction. @returns `busy` if another node expands */
  #expand(most: number): Promise<Expanded | 'busy'> {
    return this.#parts.sql.begin(async (tx) => {
      const [space, key] = notifierLock;
      const [lock] = await tx<{ held: boolean; hooks: boolean }[]>`
        select pg_try_advisory_xact_lock(${space}, ${key}) as held,
          exists (select from webhooks where state = 'active') as hooks`;
      if (lock?.held !== true) return 'busy';
      const limit = lock.hooks ? Math.min(most, commitsOfWebhooks) : most;
      const { commits, more } = await ready(tx, limit);
      if (commits.length === 0) return { commits: 0, more: false, sent: [], waiting: [], deliveries: [] };
      const entries = commits.flatMap((commit) => commit.entries);
      const stored = this.#parts.on ? await this.#store(tx, entries) : { sent: [], waiting: [] };
      const deliveries = lock.hooks ? await noteEvents(tx, await committedEvents(tx, entries)) : [];
      await tx`select mark_notified(${commits.map(({ id }) => id)}::bigint[])`;
      for (const { waited } of commits) this.#parts.metrics.notifications.expandSeconds.observe(Math.max(0, waited));
      return { commits: commits.length, more, ...stored, deliveries };
    });
  }

  async #store(tx: postgres.ISql, entries: readonly OutboxEntry[]): Promise<Pick<Expanded, 'sent' | 'waiting'>> {
    const [sent, waiting]: [LedgerRow[], LedgerRow[]] = [[], []];
    const lanes = new EntryLanes(entries);
    for await (const page of candidatesOf(tx, entries)) {
      const rows = await this.#decided(page, lanes);
      const isNew = await insertRows(tx, rows);
      for (const row of rows) {
        if (!isNew.has(row.id)) continue;
        this.#parts.metrics.notifications.count(row);
        if (row.state === 'sent') sent.push(row);
        else if (row.state === 'waiting') waiting.push(row);
      }
    }
    return { sent, waiting };
  }

  async #decided(page: readonly CandidateRow[], lanes: EntryLanes): Promise<LedgerRow[]> {
    const active = await this.#parts.activity.of([...new Set(page.map(({ user_id: user }) => user))]);
    const now = this.#parts.now();
    return page.flatMap((row): LedgerRow[] => {
      const { room_id: room, seq, user_id: user, at, kind } = row;
      const lane = lanes.of(row);
      const rooms = active.get(user);
      const where = rooms === undefined ? undefined : rooms.has(room) ? 'room' : 'elsewhere';
      const rowOf = (channel: Channel, device: string): LedgerRow => {
        const decision = decide(factsOf(row, lane, where, { channel, devices: 1 }), now);
        const key = { room, seq, user, channel, device } as const;
        // a push has its delivery, and the list of the app has the notification at once
        const state = stateOf(decision, now, channel === 'app' ? 'sent' : 'waiting');
        return { id: notificationId(key), at, ...key, kind, lane, ...state };
      };
      return [rowOf('app', ''), ...devicesOf(row).map(({ channel, id }) => rowOf(channel, id))];
    });
  }
}

interface OutboxRow {
  readonly id: number;
  readonly entries: string;
  readonly waited: number;
  readonly relayed: boolean;
}

/** The oldest commits, without those that wait for the relay of `parley.publish`, and without later ones of the same rooms. */
async function ready(tx: postgres.ISql, limit: number): Promise<{ commits: Commit[]; more: boolean }> {
  const rows = await tx<OutboxRow[]>`
    select id, entries, extract(epoch from clock_timestamp() - created_at)::float8 as waited, relay is null as relayed
    from outbox where not notified order by id limit ${limit}`;
  const behind = new Set<string>();
  const commits: Commit[] = [];
  for (const { id, entries: text, waited, relayed } of rows) {
    const entries = JSON.parse(text) as OutboxEntry[];
    const isLate = waited * 1000 >= relayMs;
    if (relayed && (isLate || !entries.some(({ room }) => behind.has(room)))) commits.push({ id, entries, waited });
    else if (!isLate) for (const { room } of entries) behind.add(room);
  }
  return { commits, more: commits.length > 0 && rows.length === limit };
}
