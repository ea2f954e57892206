/**
 * The metrics of several workers as one `/metrics`. Sums are the default. A metric whose sum would be wrong names another
 * `aggregator`, such as the least admitted share. prom-client has its own for the event loop (least of min, greatest of max,
 * mean of the rest) and for the start time (left out).
 *
 * Counts of workers that ended stay in the sum. Prometheus treats a counter that falls as a restart and counts the rest as
 * new, so each rolling restart would show as a burst.
 */
import { AggregatorRegistry, Counter, Gauge, Registry } from 'prom-client';
import type { MetricObjectWithValues, MetricValue } from 'prom-client';

/** All metrics of one process, as prom-client gives them for other processes. */
export type Readings = readonly MetricObjectWithValues<MetricValue<string>>[];

export type WorkerState = 'starting' | 'ready' | 'leaving';

export interface WorkerReadings {
  /** Undefined: the worker did not answer in time. */
  readonly answer: Readings | undefined;
  /** The answer before that. */
  readonly last: Readings | undefined;
}

export class GroupMetrics {
  readonly #registry = new Registry();
  readonly restarts = new Counter({
    name: 'parley_worker_restarts_total',
    help: 'Workers that were started because one ended by itself',
    registers: [this.#registry],
  });
  readonly #workers = new Gauge({
    name: 'parley_workers',
    help: 'Worker processes by state',
    labelNames: ['state'],
    registers: [this.#registry],
  });
  readonly #silent = new Gauge({
    name: 'parley_workers_silent',
    help: 'Workers that did not answer this scrape: their gauges are missing, and their counters have the last known values',
    registers: [this.#registry],
  });
  #ended: Promise<Readings> = Promise.resolve([]);

  /** Keeps the counts of a worker that ended. */
  keep(readings: Readings): void {
    this.#ended = this.#ended.then((before) => sum([before, counts(readings)]).getMetricsAsJSON());
  }

  /** The text of `/metrics`. */
  async text(workers: readonly WorkerReadings[], states: Readonly<Record<WorkerState, number>>): Promise<string> {
    for (const [state, count] of Object.entries(states)) this.#workers.set({ state }, count);
    this.#silent.set(workers.filter(({ answer }) => answer === undefined).length);
    const readings = workers.map(({ answer, last }) => answer ?? counts(last ?? []));
    return sum([...readings, await this.#ended, await this.#registry.getMetricsAsJSON()]).metrics();
  }
}

/** Gauges describe a running process; counts stay true after the end of their process. */
function counts(readings: Readings): Readings {
  return readings.filter(({ type }) => ['counter', 'histogram'].includes(String(type)));
}

function sum(readings: readonly Readings[]): Registry {
  return AggregatorRegistry.aggregate([...readings]);
}
