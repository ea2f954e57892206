/**
 * The handler of the jobs of a channel: decides again with the facts of this moment, claims the attempt, sends, and notes the
 * outcome. Jobs that come together share the statements. Each has its own attempt, so trouble of one device sends nothing
 * again to another one.
 */
import { Batcher } from '../../storage/batcher.ts';
import type { postgres } from '../../storage/sql.ts';
import type { Activity } from '../../presence/activity.ts';
import type { NotificationState } from '../../protocol/notifications.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { PushMetrics } from '../../telemetry/push-metrics.ts';
import { factsOf } from '../candidates.ts';
import { decide } from '../decide.ts';
import type { JobHandler, JobResult, LaneJob } from '../lanes/lanes.ts';
import { settleRows, stateOf, type LedgerRow } from '../ledger-rows.ts';
import { aheadMs } from '../waiting-jobs.ts';
import { deadEvents } from '../webhooks/dead-events.ts';
import { noteEvents } from '../webhooks/note-events.ts';
import { claim, settle, type Settled } from './attempts.ts';
import { isPaused, type ChannelRow, type Outcome, type OutwardChannel } from './channel.ts';
import type { CleanUp } from './clean-up.ts';
import { attemptOf, type RetrySettings } from './retries.ts';

export interface ChannelSettings extends RetrySettings {
  /** The longest time of one call. */
  readonly timeoutMs: number;
}

export interface ChannelParts<R extends ChannelRow> {
  readonly channel: OutwardChannel<R>;
  readonly settings: ChannelSettings;
  readonly sql: postgres.Sql;
  readonly activity: Pick<Activity, 'of'>;
  readonly cleanUp: CleanUp;
  /** Adds the jobs of webhooks. */
  readonly addJobs: (jobs: readonly LaneJob[]) => Promise<void>;
  /** The clock of Postgres. */
  readonly now: () => number;
  readonly metrics: Pick<Metrics, 'notifications'>;
  /** The metrics of the calls of this channel. */
  readonly calls: Pick<PushMetrics, 'attempts' | 'attemptSeconds' | 'dead'>;
}

const done: JobResult = { done: true };
const jobsAtOnce = 200;
const maxWaiting = 10_000;
/** A lease is so much longer than a call. */
const leaseMarginMs = 5000;

/** The next step of a job: none, a later attempt, or a call. */
type Prepared<R> = JobResult | { readonly send: R };

export class ChannelHandler<R extends ChannelRow> {
  readonly #parts: ChannelParts<R>;
  readonly #prepared: Batcher<LaneJob, Prepared<R>>;
  readonly #settled: Batcher<Settled, NotificationState | undefined>;

  constructor(parts: ChannelParts<R>) {
    this.#parts = parts;
    const limits = { maxBatch: jobsAtOnce, maxWaiting };
    this.#prepared = new Batcher((jobs) => this.#prepare(jobs), limits);
    this.#settled = new Batcher((attempts) => this.#settle(attempts), limits);
  }

  readonly handle: JobHandler = async (job, signal) => {
    const prepared = await this.#prepared.add(job);
    if (!('send' in prepared)) return prepared;
    const row = prepared.send;
    const { channel, calls, cleanUp } = this.#parts;
    const beganAt = performance.now();
    const outcome = await channel.send(row, signal);
    if (outcome !== undefined && !isPaused(outcome)) {
      calls.attempts.inc({ outcome: outcome.kind });
      calls.attemptSeconds.observe((performance.now() - beganAt) / 1000);
      cleanUp.note(channel.providerOf(row), outcome);
    }
    return this.#note(row, outcome);
  };

  async #prepare(jobs: readonly LaneJob[]): Promise<Prepared<R>[]> {
    const { channel, activity, now: clock, metrics } = this.#parts;
    const rows = await channel.rows(jobs);
    const active = await activity.of([...new Set(rows.map(({ user_id: user }) => user))]);
    const now = clock();
    const decided = rows.map((row) => ({ row, ledger: this.#decided(row, active.get(row.user_id), now) }));
    const send = decided.filter(({ ledger }) => ledger.state === 'sending');
    const rest = decided.filter(({ ledger }) => ledger.state !== 'sending');
    const claimed = await this.#claim(send.map(({ ledger }) => ledger));
    const changed = await this.#settleRest(rest.map(({ ledger }) => ledger));
    const settled = rest.filter(({ ledger }) => changed.has(ledger.id));
    for (const { ledger } of settled) metrics.notifications.count(ledger);
    // an attempt before may have reached the device
    const read = settled.filter(({ row, ledger }) => ledger.reason === 'read' && row.attempts > 0);
    if (read.length > 0) await channel.read(read.map(({ row }) => row));
    const results = new Map<string, Prepared<R>>();
    for (const { row } of send) if (claimed.has(row.id)) results.set(row.id, { send: row });
    for (const { ledger } of settled) if (ledger.state === 'waiting') results.set(ledger.id, later(ledger.due, now));
    return jobs.map(({ id }) => {
      const result = results.get(id);
      // a job that runs twice at once has one attempt
      results.delete(id);
      return result ?? done;
    });
  }

  #claim(rows: readonly LedgerRow[]): Promise<ReadonlySet<string>> {
    const { sql, settings } = this.#parts;
    if (rows.length === 0) return Promise.resolve(new Set());
    return claim(sql, rows, settings.timeoutMs + leaseMarginMs);
  }

  #settleRest(rows: readonly LedgerRow[]): Promise<ReadonlySet<string>> {
    return rows.length === 0 ? Promise.resolve(new Set()) : settleRows(this.#parts.sql, rows);
  }

  #decided(row: R, rooms: ReadonlySet<string> | undefined, now: number): LedgerRow {
    const { channel } = this.#parts;
    const { id, at, room_id: room, seq, user_id: user, kind, lane, device } = row;
    const facts = factsOf(row, lane, rooms === undefined ? undefined : rooms.has(room) ? 'room' : 'elsewhere', {
      channel: channel.name,
      devices: row.device_kind === null ? 0 : 1,
      ...channel.facts(row),
    });
    const key = { id, at, room, seq, user, channel: channel.name, device };
    return { ...key, kind, lane, ...stateOf(decide(facts, now), now, 'sending') };
  }

  /** A dead notification and the events of webhooks about it are stored together. */
  async #settle(attempts: readonly Settled[]): Promise<(NotificationState | undefined)[]> {
    const { sql, addJobs } = this.#parts;
    if (!attempts.some(({ state }) => state === 'dead')) {
      const states = await settle(sql, attempts);
      return attempts.map(({ id }) => states.get(id));
    }
    const { states, jobs } = await sql.begin(async (tx) => {
      const settled = await settle(tx, attempts);
      const dead = attempts.filter(({ id }) => settled.get(id) === 'dead');
      return { states: settled, jobs: await noteEvents(tx, await deadEvents(tx, dead)) };
    });
    // without the lanes the upkeep of webhooks adds the jobs later
    if (jobs.length > 0)
      await addJobs(jobs).catch(() => this.#parts.metrics.notifications.failures.inc({ step: 'jobs' }));
    return attempts.map(({ id }) => states.get(id));
  }

  async #note(row: R, outcome: Outcome | undefined): Promise<JobResult> {
    const { channel, settings, metrics, calls, now, cleanUp } = this.#parts;
    const attempt = attemptOf(row, outcome, settings, now());
    const state = await this.#settled.add(attempt);
    if (outcome?.kind === 'gone' && row.address !== null)
      await cleanUp.remove({ id: row.device, address: row.address, provider: channel.providerOf(row) });
    if (state === undefined) return done;
    metrics.notifications.count({ channel: channel.name, lane: row.lane, state, reason: attempt.reason });
    if (state === 'dead') calls.dead.inc();
    if (state === 'read') await channel.read([row]);
    return state === 'waiting' ? later(attempt.due, now()) : done;
  }
}

/** A job that is due much later leaves its queue; the sweep adds the job in time. */
function later(due: number, now: number): JobResult {
  return due > now + aheadMs ? done : { again: due };
}
