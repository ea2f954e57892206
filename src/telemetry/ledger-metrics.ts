/** The metrics of the ledger of notifications. */
import { Counter, Histogram, type Registry } from 'prom-client';

export class LedgerMetrics {
  readonly #notifications: Counter<'channel' | 'lane' | 'state' | 'reason'>;
  readonly expandSeconds: Histogram;
  /** Label: step (expand, jobs, months or read). */
  readonly failures: Counter<'step'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#notifications = new Counter({
      name: 'parley_notifications_total',
      help: 'Notifications that entered a state on this node, by channel, lane, state and reason',
      labelNames: ['channel', 'lane', 'state', 'reason'],
      registers,
    });
    this.expandSeconds = new Histogram({
      name: 'parley_notifications_expand_seconds',
      help: 'Time from the commit of messages or changes to the commit of their notifications',
      buckets: [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600],
      registers,
    });
    this.failures = new Counter({
      name: 'parley_notifications_failures_total',
      help: 'Failed steps of notifications, which are tried again: expand, jobs, months or read',
      labelNames: ['step'],
      registers,
    });
  }

  count({
    channel,
    lane,
    state,
    reason,
  }: {
    readonly channel: string;
    readonly lane: string;
    readonly state: string;
    readonly reason: string | null;
  }): void {
    this.#notifications.inc({ channel, lane, state, reason: reason ?? 'none' });
  }
}
