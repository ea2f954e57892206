/** Reads by kind and result, for `/metrics` and for `parley cache stats`. A read is on the hot path of every request. */
import type { CacheMetrics } from '../../telemetry/cache-metrics.ts';
import type { Tally } from '../../telemetry/hot-metrics.ts';
import type { NodeStats, ReadResult } from '../cache.ts';
import { kindNames, type KindName } from './kinds.ts';

const results: readonly ReadResult[] = ['local', 'shared', 'stale', 'loaded', 'joined'];

export class ReadCounts {
  readonly #tallies: Readonly<Record<KindName, Readonly<Record<ReadResult, Tally>>>>;

  constructor(metrics: Pick<CacheMetrics, 'reads'>) {
    const of = (kind: KindName): Record<ReadResult, Tally> =>
      Object.fromEntries(results.map((result) => [result, metrics.reads.labels({ kind, result })])) as Record<
        ReadResult,
        Tally
      >;
    this.#tallies = Object.fromEntries(kindNames.map((kind) => [kind, of(kind)])) as Record<
      KindName,
      Record<ReadResult, Tally>
    >;
  }

  count(kind: KindName, result: ReadResult): void {
    this.#tallies[kind][result].inc();
  }

  /** Only what was counted. */
  table(): NodeStats['reads'] {
    return Object.fromEntries(
      kindNames
        .map((kind) => [kind, results.filter((result) => this.#tallies[kind][result].count > 0)] as const)
        .filter(([, counted]) => counted.length > 0)
        .map(([kind, counted]) => [
          kind,
          Object.fromEntries(counted.map((result) => [result, this.#tallies[kind][result].count])),
        ]),
    );
  }
}
