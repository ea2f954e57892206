/** A gauge that is read when `/metrics` is: nothing counts on the hot path. */
import { Gauge, type Registry } from 'prom-client';

export function watchedGauge(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}
