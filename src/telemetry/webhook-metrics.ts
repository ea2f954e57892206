/** The metrics of webhooks. */
import { Counter, Histogram, type Registry } from 'prom-client';

export class WebhookMetrics {
  /** Label: outcome (arrived, failed or gone). */
  readonly attempts: Counter<'outcome'>;
  readonly attemptSeconds: Histogram;
  readonly dead: Counter;
  /** Label: reason (gone, failing or backlog). */
  readonly disabled: Counter<'reason'>;
  readonly putBack: Counter;

  constructor(registry: Registry, buckets: number[]) {
    const registers = [registry];
    this.attempts = new Counter({
      name: 'parley_webhook_attempts_total',
      help: 'Calls of webhooks, by outcome: arrived, failed or gone',
      labelNames: ['outcome'],
      registers,
    });
    this.attemptSeconds = new Histogram({
      name: 'parley_webhook_attempt_seconds',
      help: 'Time of one call of a webhook',
      buckets,
      registers,
    });
    this.dead = new Counter({
      name: 'parley_webhook_dead_total',
      help: 'Deliveries of webhooks that ended without an arrival, after their last attempt',
      registers,
    });
    this.disabled = new Counter({
      name: 'parley_webhooks_disabled_total',
      help: 'Webhooks that Parley disabled, by reason: gone, failing or backlog',
      labelNames: ['reason'],
      registers,
    });
    this.putBack = new Counter({
      name: 'parley_webhook_put_back_total',
      help: 'Jobs that were added again for deliveries which were due for a long time',
      registers,
    });
  }
}
