/** The metrics of pushes to devices. */
import { Counter, Histogram, type Registry } from 'prom-client';

export class PushMetrics {
  /** Label: outcome (sent, gone, too_large, refused or failed). */
  readonly attempts: Counter<'outcome'>;
  readonly attemptSeconds: Histogram;
  readonly dead: Counter;
  readonly devicesRemoved: Counter;
  readonly devicesKept: Counter;

  constructor(registry: Registry, buckets: number[]) {
    const registers = [registry];
    this.attempts = new Counter({
      name: 'parley_push_attempts_total',
      help: 'Calls of push services, by outcome: sent, gone, too_large, refused or failed',
      labelNames: ['outcome'],
      registers,
    });
    this.attemptSeconds = new Histogram({
      name: 'parley_push_attempt_seconds',
      help: 'Time of one call of a push service',
      buckets,
      registers,
    });
    this.dead = new Counter({
      name: 'parley_push_dead_total',
      help: 'Pushes that no device got, after their last attempt',
      registers,
    });
    this.devicesRemoved = new Counter({
      name: 'parley_push_devices_removed_total',
      help: 'Devices that were removed because their subscription had ended',
      registers,
    });
    this.devicesKept = new Counter({
      name: 'parley_push_devices_kept_total',
      help: 'Devices that a push service called gone and that were kept, because the service called too many gone',
      registers,
    });
  }
}
