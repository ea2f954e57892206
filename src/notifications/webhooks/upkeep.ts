/** Work on webhooks that one node does for all: lost jobs, backlogs without an end, and old deliveries. */
import { PeriodicTask } from '../../jobs/periodic-task.ts';
import { claimTask } from '../../jobs/shared-tasks.ts';
import type { postgres } from '../../storage/sql.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { LaneJob } from '../lanes/lanes.ts';
import { disableWebhook } from './deliveries.ts';
import { openDeliveries } from './open-deliveries.ts';

export interface UpkeepSettings {
  readonly maxWaiting: number;
  readonly keptMs: number;
}

export interface UpkeepTimes {
  readonly everyMs?: number;
  /** A delivery that has been due for so long has lost its job. */
  readonly lostAfterMs?: number;
}

export interface UpkeepParts extends UpkeepTimes {
  readonly sql: postgres.Sql;
  readonly addJobs: (jobs: readonly LaneJob[]) => Promise<void>;
  readonly settings: UpkeepSettings;
  readonly metrics: Metrics;
  readonly log: Log;
}

const defaultEveryMs = 10_000;
const defaultLostAfterMs = 15_000;
const rowsAtOnce = 5000;

export class WebhookUpkeep {
  readonly #parts: UpkeepParts;
  readonly #task: PeriodicTask;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
    const { everyMs = defaultEveryMs, log } = parts;
    this.#task = new PeriodicTask({
      run: async () => {
        if (await claimTask(parts.sql, 'webhooks', everyMs)) await this.run();
      },
      everyMs,
      retry: { baseMs: 1000, capMs: everyMs },
      failed: (err, isFirst) => {
        if (!isFirst) return;
        log.warn(
          { err },
          'Could not read the deliveries of webhooks; retrying. Deliveries that lost their job wait until then.',
        );
      },
    });
  }

  start(): void {
    this.#task.startLater();
  }

  stop(): Promise<void> {
    return this.#task.stop();
  }

  /** One round. */
  async run(): Promise<void> {
    await this.#limit();
    await this.#putBack();
    await this.#forget();
  }

  async #putBack(): Promise<void> {
    const { sql, addJobs, metrics, lostAfterMs = defaultLostAfterMs } = this.#parts;
    const jobs = await sql.begin((tx) => openDeliveries(tx, lostAfterMs));
    if (jobs.length === 0) return;
    await addJobs(jobs);
    metrics.webhooks.putBack.inc(jobs.length);
  }

  async #limit(): Promise<void> {
    const { sql, settings, metrics, log } = this.#parts;
    // the count of each webhook ends at the limit
    const over = await sql<{ id: string }[]>`
      select w.id from webhooks w where w.state = 'active' and exists (
        select from webhook_deliveries d where d.webhook = w.id and d.state in ('waiting', 'sending')
        offset ${settings.maxWaiting} limit 1)`;
    for (const { id } of over) {
      if (!(await disableWebhook(sql, id, 'backlog'))) continue;
      metrics.webhooks.disabled.inc({ reason: 'backlog' });
      log.warn(
        { webhook: id, limit: settings.maxWaiting },
        'A webhook is disabled, because too many deliveries wait; its URL gets no events until an operator enables the webhook.',
      );
    }
  }

  async #forget(): Promise<void> {
    const { sql, settings } = this.#parts;
    for (let removed = rowsAtOnce; removed === rowsAtOnce;) {
      const rows = await sql`
        delete from webhook_deliveries where id in (
          select id from webhook_deliveries
          where ended_at < clock_timestamp() - ${settings.keptMs} * interval '1 ms' order by ended_at limit ${rowsAtOnce})
        returning 1`;
      removed = rows.length;
    }
  }
}
