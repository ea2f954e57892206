/**
 * The handler of the jobs of devices: decides again with the facts of this moment, claims the attempt, sends, and notes the
 * outcome. Jobs that come together share the statements. Each has its own attempt, so trouble of one device sends nothing
 * again to another one.
 */
import { Batcher } from '../../storage/batcher.ts';
import type { postgres } from '../../storage/sql.ts';
import type { Activity } from '../../presence/activity.ts';
import type { DeviceKind } from '../../protocol/devices.ts';
import type { NotificationState, UserPreferences } from '../../protocol/notifications.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { factsOf } from '../candidates.ts';
import { decide } from '../decide.ts';
import type { JobHandler, JobResult, LaneJob, Lanes } from '../lanes/lanes.ts';
import { settleRows, stateOf, type LedgerRow } from '../ledger-rows.ts';
import { aheadMs } from '../waiting-jobs.ts';
import type { CleanUp } from './clean-up.ts';
import { addClears } from './clear.ts';
import { messagePayload, tagOf } from './payload.ts';
import { claim, pushRows, removeGone, settle, type PushRow, type Settled } from './push-rows.ts';
import type { Outcome, Transport } from './transport.ts';

export interface PushSettings {
  /** A push is of no use after this time since its message. */
  readonly ttlMs: number;
  /** The longest pause before the second attempt; doubled by each further one. */
  readonly retryMs: number;
  /** After this time since its row a push is dead. */
  readonly giveUpMs: number;
  /** The longest time of one call. */
  readonly timeoutMs: number;
}

export interface PushParts {
  readonly settings: PushSettings;
  readonly sql: postgres.Sql;
  readonly activity: Pick<Activity, 'of'>;
  readonly lanes: Pick<Lanes, 'add'>;
  readonly transports: Readonly<Partial<Record<DeviceKind, Transport>>>;
  readonly cleanUp: CleanUp;
  /** The clock of Postgres. */
  readonly now: () => number;
  readonly metrics: Metrics;
  readonly log: Log;
}

const done: JobResult = { done: true };
const jobsAtOnce = 200;
const maxWaiting = 10_000;
/** A lease is so much longer than a call. */
const leaseMarginMs = 5000;
const capMs = 3_600_000;
const maxErrorLength = 300;

/** The next step of a job: none, a later attempt, or a call. */
type Prepared = JobResult | { readonly send: PushRow };

export class PushHandler {
  readonly #parts: PushParts;
  readonly #prepared: Batcher<LaneJob, Prepared>;
  readonly #settled: Batcher<Settled, NotificationState | undefined>;

  constructor(parts: PushParts) {
    this.#parts = parts;
    const limits = { maxBatch: jobsAtOnce, maxWaiting };
    this.#prepared = new Batcher((jobs) => this.#prepare(jobs), limits);
    this.#settled = new Batcher(async (attempts) => {
      const states = await settle(parts.sql, attempts);
      return attempts.map(({ id }) => states.get(id));
    }, limits);
  }

  readonly handle: JobHandler = async (job, signal) => {
    const prepared = await this.#prepared.add(job);
    if (!('send' in prepared)) return prepared;
    const row = prepared.send;
    const { metrics } = this.#parts;
    const beganAt = performance.now();
    const outcome = await this.#send(row, signal);
    if (outcome !== undefined) {
      metrics.push.attempts.inc({ outcome: outcome.kind });
      metrics.push.attemptSeconds.observe((performance.now() - beganAt) / 1000);
    }
    return this.#note(row, outcome);
  };

  async #prepare(jobs: readonly LaneJob[]): Promise<Prepared[]> {
    const { sql, activity, now: clock, settings, metrics } = this.#parts;
    const rows = await pushRows(sql, jobs);
    const active = await activity.of([...new Set(rows.map(({ user_id: user }) => user))]);
    const now = clock();
    const decided = rows.map((row) => ({ row, ledger: this.#decided(row, active.get(row.user_id), now) }));
    const [send, rest] = [
      decided.filter(({ ledger }) => ledger.state === 'sending'),
      decided.filter(({ ledger }) => ledger.state !== 'sending'),
    ];
    const claimed =
      send.length === 0
        ? new Set<string>()
        : await claim(
            sql,
            send.map(({ ledger }) => ledger),
            settings.timeoutMs + leaseMarginMs,
          );
    const changed =
      rest.length === 0
        ? new Set<string>()
        : await settleRows(
            sql,
            rest.map(({ ledger }) => ledger),
          );
    const settled = rest.filter(({ ledger }) => changed.has(ledger.id));
    for (const { ledger } of settled) metrics.notifications.count(ledger);
    // an attempt before may have reached the device
    await this.#clear(
      settled.filter(({ row, ledger }) => ledger.reason === 'read' && row.attempts > 0).map(({ row }) => row),
    );
    const results = new Map<string, Prepared>();
    for (const { row } of send) if (claimed.has(row.id)) results.set(row.id, { send: row });
    for (const { ledger } of settled) if (ledger.state === 'waiting') results.set(ledger.id, later(ledger.due, now));
    return jobs.map(({ id }) => results.get(id) ?? done);
  }

  #decided(row: PushRow, rooms: ReadonlySet<string> | undefined, now: number): LedgerRow {
    const { id, at, room_id: room, seq, user_id: user, kind, lane, device } = row;
    const facts = factsOf(row, lane, rooms === undefined ? undefined : rooms.has(room) ? 'room' : 'elsewhere', {
      channel: 'push',
      devices: row.device_kind === null ? 0 : 1,
      expires: at + this.#parts.settings.ttlMs,
      isReplaced: row.is_replaced,
      lately: row.lately,
    });
    const key = { id, at, room, seq, user, channel: 'push', device } as const;
    return { ...key, kind, lane, ...stateOf(decide(facts, now), now, 'sending') };
  }

  async #send(row: PushRow, signal: AbortSignal): Promise<Outcome | undefined> {
    const { transports, settings, now } = this.#parts;
    const { device_kind: kind, address, secrets, lane, at, room_id: room } = row;
    const transport = kind === null ? undefined : transports[kind];
    if (transport === undefined || address === null)
      return { kind: 'failed', error: `This node sends no pushes of the kind ${kind ?? 'none'}.` };
    const { content } = (row.of_user === null ? {} : JSON.parse(row.of_user)) as UserPreferences;
    const ttlMs = Math.max(0, at + settings.ttlMs - now());
    return transport.send(
      { address, secrets },
      { payload: messagePayload(row, content), lane, topic: tagOf(room), ttlMs },
      signal,
    );
  }

  async #note(row: PushRow, outcome: Outcome | undefined): Promise<JobResult> {
    const { metrics, now } = this.#parts;
    const attempt = this.#attemptOf(row, outcome);
    const state = await this.#settled.add(attempt);
    if (outcome?.kind === 'gone') await this.#remove(row);
    if (outcome?.kind === 'sent') this.#parts.cleanUp.note(false);
    if (state === undefined) return done;
    metrics.notifications.count({ channel: 'push', lane: row.lane, state, reason: attempt.reason });
    if (state === 'dead') metrics.push.dead.inc();
    if (state === 'read') await this.#clear([row]);
    return state === 'waiting' ? later(attempt.due, now()) : done;
  }

  #attemptOf(row: PushRow, outcome: Outcome | undefined): Settled {
    const { now: clock, settings } = this.#parts;
    const now = clock();
    const base = { id: row.id, at: row.at, attempts: row.attempts + 1, reason: null, error: null, due: now };
    // the process stops; another one tries again
    if (outcome === undefined) return { ...base, state: 'waiting', error: 'The node stopped during the attempt.' };
    if (outcome.kind === 'sent') return { ...base, state: 'sent' };
    const error = outcome.error.slice(0, maxErrorLength);
    if (outcome.kind === 'gone') return { ...base, state: 'dropped', reason: 'no_device', error };
    if (outcome.kind === 'refused') return { ...base, state: 'dead', error };
    // exponential, with full jitter
    const pauseMs = Math.random() * Math.min(capMs, settings.retryMs * 2 ** Math.min(row.attempts, 30));
    const due = Math.ceil(now + Math.max(pauseMs, outcome.waitMs ?? 0));
    return due >= row.noted_at + settings.giveUpMs
      ? { ...base, state: 'dead', error }
      : { ...base, state: 'waiting', error, due };
  }

  /** A push service in trouble must not cost users their devices. */
  async #remove({ device, address, user_id: user }: PushRow): Promise<void> {
    const { cleanUp, metrics, sql, log } = this.#parts;
    cleanUp.note(true);
    if (!cleanUp.allowed) {
      metrics.push.devicesKept.inc();
      return;
    }
    if (address === null || !(await removeGone(sql, device, address))) return;
    metrics.push.devicesRemoved.inc();
    log.debug({ user, device }, 'A device has ended its subscription; the server has removed the device.');
  }

  #clear(rows: readonly PushRow[]): Promise<void> {
    const cleared = rows.map(({ user_id: user, device, room_id: room, seq }) => ({ user, device, room, seq }));
    return addClears(cleared, this.#parts);
  }
}

/** A job that is due much later leaves its queue; the sweep adds the job in time. */
function later(due: number, now: number): JobResult {
  return due > now + aheadMs ? done : { again: due };
}
