/** The metrics of the cache. Labels are closed unions: kinds of values, results and tiers, never a key or a tag. */
import { Counter, type Registry } from 'prom-client';
import { HotCounter } from './hot-metrics.ts';
import type { CacheDrain, CacheReach, CacheStep, CacheTier } from './labels.ts';
import { watchedGauge } from './watched-gauge.ts';

export class CacheMetrics {
  readonly #registry: Registry;
  /** Labels: kind, result. The result is where the value came from. */
  readonly reads: HotCounter;
  readonly fenced: Counter<'kind'>;
  readonly evicted: Counter<'tier'>;
  readonly invalidations: Counter<'reach'>;
  readonly drains: Counter<'cause'>;
  readonly errors: Counter<'step'>;
  readonly warmFailures: Counter;

  constructor(registry: Registry) {
    this.#registry = registry;
    this.reads = new HotCounter(
      'parley_cache_reads_total',
      'Reads of cached values by kind and result: local and shared are hits, loaded is a miss, joined waited for another reader',
      registry,
    );
    this.fenced = this.#counter<'kind'>(
      'parley_cache_fenced_total',
      'Loads whose value was not kept because it was invalidated during the load',
      ['kind'],
    );
    this.evicted = this.#counter<'tier'>(
      'parley_cache_evicted_total',
      'Entries that were removed because the tier had reached its size',
      ['tier'],
    );
    this.invalidations = this.#counter<'reach'>(
      'parley_cache_invalidations_total',
      'Invalidations by reach: everywhere, or only on this node because Redis did not take them',
      ['reach'],
    );
    this.drains = this.#counter<'cause'>(
      'parley_cache_drains_total',
      'Times that this node removed all cached values from its memory, by cause',
      ['cause'],
    );
    this.errors = this.#counter<'step'>(
      'parley_cache_errors_total',
      'Steps of the cache that failed in Redis; reads loaded their values without Redis',
      ['step'],
    );
    this.warmFailures = this.#counter(
      'parley_cache_warm_failures_total',
      'Values that could not be loaded before their first readers',
    );
  }

  evict(tier: CacheTier, entries = 1): void {
    this.evicted.inc({ tier }, entries);
  }

  invalidated(reach: CacheReach): void {
    this.invalidations.inc({ reach });
  }

  drained(cause: CacheDrain): void {
    this.drains.inc({ cause });
  }

  failed(step: CacheStep): void {
    this.errors.inc({ step });
  }

  /** `/metrics` reads these sizes; nothing counts on the hot path. */
  watch(
    values: { readonly bytes: number; readonly entries: number },
    loads: { readonly running: number; readonly waiting: number },
  ): void {
    this.#gauge('parley_cache_bytes', 'Size of the cached values in the memory of this node', () => values.bytes);
    this.#gauge('parley_cache_entries', 'Cached values in the memory of this node', () => values.entries);
    this.#gauge('parley_cache_loads', 'Loads of cached values that run now', () => loads.running);
    this.#gauge('parley_cache_loads_waiting', 'Loads of cached values that wait for a place', () => loads.waiting);
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[] = []): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #gauge(name: string, help: string, read: () => number): void {
    watchedGauge(this.#registry, name, help, read);
  }
}
