/** The form for one node: one tier in memory. Nothing else knows the values, so every invalidation reaches all of them. */
import { systemClock, type Clock } from '../../jobs/clock.ts';
import type { CacheMetrics } from '../../telemetry/cache-metrics.ts';
import type { Cache, CacheStats, NodeStats, Reach } from '../cache.ts';
import { kinds, nameOf, type IdOf, type KindName, type Tag, type Target, type ValueOf } from './kinds.ts';
import { LoadLimit } from './load-limit.ts';
import { LocalTier } from './local-tier.ts';
import { Reads, type Filled, type Wanted } from './reads.ts';
import { ReadCounts } from './read-counts.ts';
import { warmed } from './warm.ts';

export interface CacheSettings {
  readonly maxBytes: number;
  readonly maxLoads: number;
  readonly maxWaitingLoads: number;
}

export interface MemoryCacheOptions extends CacheSettings {
  readonly node: string;
  readonly metrics: CacheMetrics;
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** A value of more bytes is not kept: many readers of large pages would displace everything else. */
export const maxEntryBytes = 256 * 1024;
/** How long a load waits for a place. */
export const placeMs = 5000;

export class MemoryCache implements Cache {
  readonly #options: MemoryCacheOptions;
  readonly #clock: Clock;
  readonly #tier: LocalTier;
  readonly #limit: LoadLimit;
  readonly #reads: Reads;
  readonly #counts: ReadCounts;

  constructor(options: MemoryCacheOptions) {
    this.#options = options;
    const { maxBytes, maxLoads, maxWaitingLoads, metrics, clock = systemClock } = options;
    this.#clock = clock;
    this.#counts = new ReadCounts(metrics);
    this.#tier = new LocalTier({ maxBytes, maxEntryBytes, evicted: () => metrics.evict('local') });
    this.#limit = new LoadLimit({ most: maxLoads, maxWaiting: maxWaitingLoads, waitMs: placeMs, clock });
    this.#reads = new Reads({
      tier: this.#tier,
      clock,
      usable: () => true,
      fill: (wanted) => this.#fill(wanted),
      count: (kind, result) => this.#counts.count(kind, result),
    });
    metrics.watch(this.#tier, this.#limit);
  }

  read<K extends KindName>(kind: K, id: IdOf<K>, load: () => Promise<ValueOf<K>>): Promise<ValueOf<K>> {
    return this.#reads.read(kind, id, load);
  }

  invalidate(targets: readonly Target[]): Promise<Reach> {
    if (targets.length === 0) return Promise.resolve('everywhere');
    const names = targets.map(nameOf);
    this.#tier.invalidate(names);
    this.#reads.detach(names);
    this.#options.metrics.invalidated('everywhere');
    return Promise.resolve('everywhere');
  }

  clear(tag?: Tag): Promise<Reach> {
    if (tag !== undefined) return this.invalidate([tag]);
    this.#tier.drain();
    this.#reads.detachAll();
    this.#options.metrics.drained('cleared');
    return Promise.resolve('everywhere');
  }

  warm<K extends KindName>(
    kind: K,
    ids: readonly IdOf<K>[],
    load: (id: IdOf<K>) => Promise<ValueOf<K>>,
  ): Promise<number> {
    return warmed(ids, (id) => this.read(kind, id, () => load(id)), this.#options.metrics);
  }

  stats(): Promise<CacheStats> {
    const node: NodeStats = {
      node: this.#options.node,
      entries: this.#tier.entries,
      bytes: this.#tier.bytes,
      loading: this.#limit.running,
      shared: false,
      reads: this.#counts.table(),
    };
    return Promise.resolve({ nodes: [node], silent: [], shared: undefined });
  }

  close(): Promise<void> {
    this.#tier.drain();
    return Promise.resolve();
  }

  async #fill({ kind, key, version, load }: Wanted): Promise<Filled> {
    const { ttlMs, graceMs } = kinds[kind];
    const { metrics, random = Math.random } = this.#options;
    const old = this.#tier.get(key);
    try {
      const loaded = await this.#limit.run(load);
      const freshUntil = this.#clock.now() + jittered(ttlMs, random);
      if (!this.#tier.put(key, { ...loaded, freshUntil }, version)) metrics.fenced.inc({ kind });
      return { ...loaded, result: 'loaded' };
    } catch (error) {
      const usable =
        old !== undefined && old.freshUntil + graceMs > this.#clock.now() && !this.#tier.isFenced(old.names, version);
      if (!usable) throw error;
      return { ...old, result: 'stale' };
    }
  }
}

/** Entries that were loaded together must not end together. */
export function jittered(ttlMs: number, random: () => number): number {
  return ttlMs * (1 - random() / 10);
}
