/**
 * Checks once a second with one statement whether Postgres answers, takes writes, and keeps confirmed messages.
 *
 * up -> (two checks in a row fail, or the database is read-only) -> down -> (a check passes) -> up. Each change is one line in
 * the log. One failed check alone may be a connection that ended while the server works.
 */
import type { postgres } from './sql.ts';
import { NotReady } from '../telemetry/health.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { systemClock, type Clock } from '../jobs/clock.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';
import { within } from '../jobs/within.ts';
import type { ServerClock } from './clock.ts';
import { hazards, hazardsOf, type Hazard, type ServerSettings } from './durability.ts';

export interface DatabaseWatchOptions {
  readonly sql: postgres.Sql;
  readonly clock: ServerClock;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Only a server has settings that its operator may change. */
  readonly kind: 'embedded' | 'server';
  /** The clock of this machine. */
  readonly local?: Clock;
}

const everyMs = 1000;
const answerMs = 5000;

type State = 'up' | 'silent' | 'read-only';

export class DatabaseWatch {
  readonly #options: DatabaseWatchOptions;
  readonly #task: PeriodicTask;
  #checking: Promise<void> | undefined;
  #state: State = 'up';
  #failures = 0;
  readonly #local: Clock;
  #since: number;
  #hazards: ReadonlySet<Hazard> = new Set();

  constructor(options: DatabaseWatchOptions) {
    this.#options = options;
    const { local = systemClock } = options;
    this.#local = local;
    this.#since = local.now();
    const { metrics, sql } = options;
    // a failed check is a state, which #turn logs
    this.#task = new PeriodicTask({
      run: () => this.poll(),
      everyMs,
      failed: () => {},
      keepsAlive: false,
      clock: local,
    });
    this.#task.startLater();
    metrics.watchDatabase({
      up: () => this.#state === 'up',
      pool: () => sql.pool(),
      hazard: (name) => this.#hazards.has(name),
      clockOffsetMs: () => options.clock.offsetMs,
    });
  }

  /** Checks now; concurrent calls share one check. @throws {NotReady} while Postgres takes no writes. */
  poll(): Promise<void> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  /** The check under way may still fail its callers. */
  stop(): void {
    void this.#task.stop();
  }

  async #check(): Promise<void> {
    const from = Date.now();
    try {
      const settings = await within(answerMs, this.#query(), this.#local);
      const to = Date.now();
      this.#options.clock.measured(settings.now, from, to);
      this.#note(settings);
      this.#turn('up');
      this.#failures = 0;
    } catch (error) {
      if ((error as { code?: unknown }).code === '25006') {
        this.#hazards = new Set([...this.#hazards, 'read_only']);
        this.#turn('read-only', error);
        throw new NotReady('Postgres is read-only', { cause: error });
      }
      if (++this.#failures > 1) this.#turn('silent', error);
      throw new NotReady('Postgres does not answer', { cause: error });
    }
  }

  /**
   * The update changes no row and reads none; a session that is read-only refuses it nevertheless. So the answer proves
   * that this session can write, and a session that cannot leaves the pool (`sessionUnfit`). The role of a node need not have
   * the right to write to `schema_migrations`.
   */
  async #query(): Promise<ServerSettings & { now: number }> {
    const [row] = await this.#options.sql<[ServerSettings & { now: number }]>`
      with writes as (update chores set due_at = due_at where false)
      select current_setting('fsync') as fsync, current_setting('full_page_writes') as full_page_writes,
        current_setting('synchronous_commit') as synchronous_commit, current_setting('transaction_read_only') as read_only,
        clock_timestamp() as now`;
    return row;
  }

  #note(settings: ServerSettings): void {
    if (this.#options.kind === 'embedded') return;
    const found = new Set(hazardsOf(settings));
    for (const name of found) if (!this.#hazards.has(name)) this.#options.log.warn(`Postgres: ${hazards[name]}.`);
    this.#hazards = found;
  }

  #turn(state: State, error?: unknown): void {
    if (state === this.#state) return;
    const { log } = this.#options;
    const now = this.#local.now();
    const ms = Math.round(now - this.#since);
    this.#state = state;
    this.#since = now;
    if (state === 'up') log.warn({ ms }, 'Postgres is available again: messages are stored.');
    else if (state === 'silent')
      log.warn({ err: error }, 'Postgres does not answer: messages are refused with `unavailable` until it does.');
    else
      log.warn({ err: error }, 'Postgres is read-only: messages are refused with `unavailable` until it takes writes.');
  }
}
