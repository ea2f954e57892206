/** The metrics of REST: requests, their rates, repeated writes, and streams of rooms. */
import { Counter, Histogram, type Registry } from 'prom-client';
import { HotCounter } from './hot-metrics.ts';
import { watchedGauge } from './watched-gauge.ts';

export class RestMetrics {
  readonly #registry: Registry;
  readonly requests: Counter<'route' | 'status'>;
  readonly requestSeconds: Histogram<'route'>;
  /** Label: limit (hour, sensitive, blocked or failures). */
  readonly requestsRefused: HotCounter;
  readonly idempotentRequests: Counter<'outcome'>;
  readonly addressesBlocked: Counter;
  readonly streamsOpened: Counter;
  readonly streamsEnded: Counter<'reason'>;
  readonly streamsRefused: Counter<'limit'>;
  readonly streamsBehind: Counter;

  /** @param seconds the buckets of times */
  constructor(registry: Registry, seconds: readonly number[]) {
    this.#registry = registry;
    this.requests = this.#counter('parley_http_requests_total', 'Requests of REST that were answered', [
      'route',
      'status',
    ]);
    this.requestSeconds = new Histogram({
      name: 'parley_http_request_seconds',
      help: 'Time from a request of REST to its answer',
      buckets: [...seconds],
      labelNames: ['route'],
      registers: [registry],
    });
    this.requestsRefused = new HotCounter(
      'parley_http_requests_refused_total',
      'Requests of REST over a rate, by the rate',
      registry,
    );
    this.idempotentRequests = this.#counter(
      'parley_http_idempotent_requests_total',
      'Requests of REST with an Idempotency-Key, by outcome: first, answered, running or mismatch',
      ['outcome'],
    );
    this.addressesBlocked = this.#counter(
      'parley_http_addresses_blocked_total',
      'Addresses that were blocked for a time, because their requests were refused again and again',
    );
    this.streamsOpened = this.#counter('parley_streams_opened_total', 'Streams of rooms that began');
    this.streamsEnded = this.#counter(
      'parley_streams_ended_total',
      'Streams of rooms that ended, by the reason: closed by the client, reset, or an error code',
      ['reason'],
    );
    this.streamsRefused = this.#counter(
      'parley_streams_refused_total',
      'Streams of rooms that were refused at a limit: that of the caller or that of the node',
      ['limit'],
    );
    this.streamsBehind = this.#counter(
      'parley_streams_behind_total',
      'Times that a stream fell behind its room and read the changes from the database',
    );
  }

  /** `/metrics` reads the number of streams. */
  watchStreams(read: () => number): void {
    watchedGauge(this.#registry, 'parley_streams', 'Streams of rooms that are open', read);
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[] = []): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }
}
