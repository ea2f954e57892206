/**
 * The form for several nodes: the memory of each node, Redis behind it, and a bus between the nodes.
 *
 * While Redis is unavailable, the node is alone: it keeps a value for `leaseMs` at most. So a value that many users read is
 * still loaded once a second, and not for each read.
 */
import { pause, systemClock, type Clock } from '../../jobs/clock.ts';
import type { CacheMetrics } from '../../telemetry/cache-metrics.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Cache, CacheStats, NodeStats, Reach } from '../cache.ts';
import type { RedisLink } from '../redis.ts';
import { Bus, leaseMs, longestLoadMs } from './bus.ts';
import { kinds, nameOf, type IdOf, type KindName, type Tag, type Target, type ValueOf } from './kinds.ts';
import { LoadLimit } from './load-limit.ts';
import { LocalTier } from './local-tier.ts';
import { jittered, maxEntryBytes, placeMs, type CacheSettings } from './memory.ts';
import { ReadCounts } from './read-counts.ts';
import { Reads, type Filled, type Loaded, type Wanted } from './reads.ts';
import { SharedTier } from './shared-tier.ts';
import { warmed } from './warm.ts';

export interface RedisCacheOptions extends CacheSettings {
  readonly node: string;
  readonly link: RedisLink;
  /** Begins every key and channel. */
  readonly prefix: string;
  /** The id of the installation: another one may use the same Redis and the same prefix. */
  readonly installation: string;
  readonly maxSharedBytes: number;
  readonly metrics: CacheMetrics;
  readonly log: Log;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly leaseMs?: number;
}

/** Pauses of a reader that waits for the load of another node. */
const firstPauseMs = 4;
const longestPauseMs = 50;

export class RedisCache implements Cache {
  readonly #options: RedisCacheOptions;
  readonly #clock: Clock;
  readonly #tier: LocalTier;
  readonly #limit: LoadLimit;
  readonly #reads: Reads;
  readonly #counts: ReadCounts;
  readonly #bus: Bus;
  readonly #shared: SharedTier;
  /** How long the node keeps a value that it loaded without Redis. */
  readonly #aloneTtlMs: number;

  constructor(options: RedisCacheOptions) {
    this.#options = options;
    const { maxBytes, maxLoads, maxWaitingLoads, maxSharedBytes, metrics, clock = systemClock } = options;
    this.#clock = clock;
    this.#aloneTtlMs = options.leaseMs ?? leaseMs;
    this.#counts = new ReadCounts(metrics);
    this.#tier = new LocalTier({ maxBytes, maxEntryBytes, evicted: () => metrics.evict('local') });
    this.#limit = new LoadLimit({ most: maxLoads, maxWaiting: maxWaitingLoads, waitMs: placeMs, clock });
    const prefix = `${options.prefix}cache:${options.installation}:`;
    const { link, node, log } = options;
    const ofLease = options.leaseMs === undefined ? {} : { leaseMs: options.leaseMs };
    this.#bus = new Bus({
      link,
      prefix,
      node,
      metrics,
      log,
      clock,
      ...ofLease,
      apply: (names) => this.#apply(names),
      drain: (cause) => this.#drain(cause),
      report: () => this.#report(),
    });
    this.#shared = new SharedTier({ bus: this.#bus, prefix, maxBytes: maxSharedBytes, metrics });
    this.#reads = new Reads({
      tier: this.#tier,
      clock,
      usable: () => !this.#bus.lease.isShared || this.#bus.lease.held,
      fill: (wanted) => this.#fill(wanted),
      count: (kind, result) => this.#counts.count(kind, result),
    });
    metrics.watch(this.#tier, this.#limit);
  }

  /** Whether the node shares values with others now. Otherwise Redis is unavailable, and the node is alone. */
  get isShared(): boolean {
    return this.#bus.lease.isShared;
  }

  /** Resolves when values are shared, or cannot be for now. */
  open(): Promise<void> {
    return this.#bus.open();
  }

  read<K extends KindName>(kind: K, id: IdOf<K>, load: () => Promise<ValueOf<K>>): Promise<ValueOf<K>> {
    return this.#reads.read(kind, id, load);
  }

  async invalidate(targets: readonly Target[]): Promise<Reach> {
    if (targets.length === 0) return 'everywhere';
    const names = targets.map(nameOf);
    this.#apply(names);
    const reach = await this.#bus.raise(names);
    this.#options.metrics.invalidated(reach);
    return reach;
  }

  async clear(tag?: Tag): Promise<Reach> {
    if (tag !== undefined) return this.invalidate([tag]);
    this.#drain('cleared');
    const reach = await this.#bus.raise('everything');
    this.#options.metrics.invalidated(reach);
    return reach;
  }

  warm<K extends KindName>(
    kind: K,
    ids: readonly IdOf<K>[],
    load: (id: IdOf<K>) => Promise<ValueOf<K>>,
  ): Promise<number> {
    return warmed(ids, (id) => this.read(kind, id, () => load(id)), this.#options.metrics);
  }

  async stats(): Promise<CacheStats> {
    const answer = await this.#bus.report();
    if (answer === undefined) return { nodes: [this.#report()], silent: [], shared: undefined };
    const { nodes, silent, entries, bytes } = answer;
    return { nodes, silent, shared: { entries, bytes } };
  }

  async close(): Promise<void> {
    await this.#bus.close();
    this.#tier.drain();
  }

  #report(): NodeStats {
    return {
      node: this.#options.node,
      entries: this.#tier.entries,
      bytes: this.#tier.bytes,
      loading: this.#limit.running,
      shared: this.#bus.lease.isShared,
      reads: this.#counts.table(),
    };
  }

  #apply(names: readonly string[]): void {
    this.#tier.invalidate(names);
    this.#reads.detach(names);
  }

  #drain(cause: 'lost' | 'joined' | 'gap' | 'cleared'): void {
    this.#tier.drain();
    this.#reads.detachAll();
    this.#options.metrics.drained(cause);
  }

  async #fill(wanted: Wanted): Promise<Filled> {
    const { key } = wanted;
    const deadline = this.#clock.now() + placeMs;
    const token = this.#shared.newToken();
    for (let pauseMs = firstPauseMs; this.#bus.lease.isShared; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
      const seen = await this.#shared.read(key, token);
      if (seen === undefined) break;
      if (seen.is === 'hit') {
        this.#keep(wanted, seen, seen.remainingMs);
        return { text: seen.text, names: seen.names, result: 'shared' };
      }
      if (seen.is === 'load') return this.#load(wanted, seen.version, token, seen.stale);
      if (seen.stale !== undefined) return { ...seen.stale, result: 'stale' };
      if (this.#clock.now() > deadline) return this.#load(wanted, seen.version, undefined, undefined);
      await pause(pauseMs * (0.5 + Math.random() / 2), this.#clock);
    }
    return this.#loadAlone(wanted);
  }

  /** @param token the lease of this load; undefined: another node has it for too long */
  async #load(wanted: Wanted, version: number, token: string | undefined, stale: Loaded | undefined): Promise<Filled> {
    const { kind, key } = wanted;
    const { ttlMs, graceMs } = kinds[kind];
    const startedAt = this.#clock.now();
    const end = token === undefined ? undefined : this.#shared.keepLease(key, token);
    let loaded: Loaded;
    try {
      loaded = await this.#limit.run(wanted.load);
    } catch (error) {
      void end?.(true);
      if (stale === undefined) throw error;
      return { ...stale, result: 'stale' };
    }
    void end?.(false);
    const freshMs = jittered(ttlMs, this.#options.random ?? Math.random);
    const fits = loaded.text.length <= maxEntryBytes && this.#clock.now() - startedAt < longestLoadMs;
    const stored = fits ? await this.#shared.store(key, token, version, loaded, { freshMs, graceMs }) : undefined;
    if (stored === 'fenced') this.#options.metrics.fenced.inc({ kind });
    else this.#keep(wanted, loaded, stored === undefined ? Math.min(freshMs, this.#aloneTtlMs) : freshMs);
    return { ...loaded, result: 'loaded' };
  }

  async #loadAlone(wanted: Wanted): Promise<Filled> {
    const startedAt = this.#clock.now();
    const loaded = await this.#limit.run(wanted.load);
    const ageMs = this.#clock.now() - startedAt;
    this.#keep(wanted, loaded, Math.min(kinds[wanted.kind].ttlMs, this.#aloneTtlMs) - ageMs);
    return { ...loaded, result: 'loaded' };
  }

  #keep({ kind, key, version }: Wanted, { text, names }: Loaded, freshMs: number): void {
    const entry = { text, names, freshUntil: this.#clock.now() + freshMs };
    if (!this.#tier.put(key, entry, version)) this.#options.metrics.fenced.inc({ kind });
  }
}
