/** The metrics of REST: requests, their rates, repeated writes, and streams of rooms. */
import { Counter, type Registry } from 'prom-client';
import { HotCounter, HotHistogram, type Spread } from './hot-metrics.ts';
import { watchedGauge } from './watched-gauge.ts';

export class RestMetrics {
  readonly #registry: Registry;
  /** Labels: route, status (2xx, 4xx, …). */
  readonly #requests: HotCounter;
  readonly #requestSeconds: HotHistogram;
  readonly #byRoute = new Map<string, Spread>();
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
    this.#requests = new HotCounter('parley_http_requests_total', 'Requests of REST that were answered', registry);
    this.#requestSeconds = new HotHistogram(
      'parley_http_request_seconds',
      'Time from a request of REST to its answer',
      seconds,
      registry,
    );
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

  /** The routes of one name share their series. @returns what counts the answers of a route */
  answersOf(route: string): (status: number, seconds: number) => void {
    const times = this.#byRoute.get(route) ?? this.#requestSeconds.labels({ route });
    this.#byRoute.set(route, times);
    const classes = [1, 2, 3, 4, 5].map((digit) => this.#requests.labels({ route, status: `${digit}xx` }));
    return (status, time) => {
      classes[Math.floor(status / 100) - 1]?.inc();
      times.observe(time);
    };
  }

  /** `/metrics` reads the number of streams. */
  watchStreams(read: () => number): void {
    watchedGauge(this.#registry, 'parley_streams', 'Streams of rooms that are open', read);
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[] = []): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }
}
