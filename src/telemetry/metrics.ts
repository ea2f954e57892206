/**
 * Every metric of Parley, and the only importer of prom-client. Labels are closed unions (commands, error codes,
 * reasons of this file), never a room's or user's id: the number of series stays bounded.
 */
import { HotCounter, HotHistogram } from './hot-metrics.ts';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

export type RefusedHandshake =
  'bad_request' | 'origin' | 'connections' | 'address' | 'connect_rate' | 'draining' | 'overload';
export type ClosedConnection =
  | 'client'
  | 'connect_timeout'
  | 'draining'
  | 'heartbeat'
  | 'protocol_error'
  | 'rate_limited'
  | 'slow_consumer'
  | 'token_expired'
  | 'too_large'
  | 'unauthorized'
  | 'unavailable';
export type InternalError = 'command' | 'delivery' | 'fanout' | 'http' | 'socket' | 'sweep' | 'writer';

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class Metrics {
  readonly #registry = new Registry();

  readonly connections = this.#gauge('parley_connections', 'Connections that are open now');
  readonly opened = this.#counter('parley_connections_opened_total', 'Connections that were opened');
  readonly closed = this.#counter('parley_connections_closed_total', 'Connections that ended', ['reason']);
  readonly refused = this.#counter('parley_handshakes_refused_total', 'Handshakes that were refused', ['reason']);
  /** Labels: command, outcome. */
  readonly commands = new HotCounter(
    'parley_commands_total',
    'Commands answered; outcome is ok or an error code',
    this.#registry,
  );
  /** Label: command. */
  readonly ackSeconds = new HotHistogram('parley_ack_seconds', 'From a command to its ack', seconds, this.#registry);
  readonly batchSize = this.#histogram(
    'parley_writer_batch_messages',
    'Messages, or changes of messages, in one commit',
    [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000],
  );
  readonly commitSeconds = this.#histogram(
    'parley_writer_commit_seconds',
    'Time of one commit of messages or changes',
    seconds,
  );
  readonly writerRetries = this.#counter('parley_writer_retries_total', 'Commits tried again', ['reason']);
  /** Label: event. */
  readonly fanoutEvents = new HotCounter('parley_fanout_events_total', 'Events handed to fan-out', this.#registry);
  readonly fanoutDeliveries = new HotCounter(
    'parley_fanout_deliveries_total',
    'Events written to connections',
    this.#registry,
  ).labels();
  readonly slowConsumers = this.#counter('parley_slow_consumers_total', 'Steps taken with slow connections', ['step']);
  readonly signalsDropped = this.#counter('parley_signals_dropped_total', 'Signals not written to slow connections');
  /** Label: limit. Counted when there is least time for it. */
  readonly overloaded = new HotCounter('parley_overloaded_total', 'Work refused for overload', this.#registry);
  readonly internalErrors = this.#counter('parley_internal_errors_total', 'Faults of Parley itself', ['where']);
  readonly guests = this.#counter('parley_guests_total', 'Guest tokens asked for', ['outcome']);

  constructor() {
    // process, heap, GC and event-loop delay, by prom-client's own names
    collectDefaultMetrics({ register: this.#registry });
  }

  /** The writer's depth is read when it is asked for, not counted on the way. */
  watchWriter(waiting: () => number): void {
    new Gauge({
      name: 'parley_writer_queue',
      help: 'Messages and changes that wait for their commit',
      registers: [this.#registry],
      collect() {
        this.set(waiting());
      },
    });
  }

  /** 1: all work is taken; the limit that is passed is told by its label. */
  watchOverload(read: () => { share: number; reason: string | undefined }): void {
    new Gauge({
      name: 'parley_admitted_share',
      help: 'Share of the work that is taken; under 1 while a limit is passed',
      labelNames: ['limit'],
      registers: [this.#registry],
      collect() {
        const { share, reason } = read();
        this.reset();
        this.set({ limit: share < 1 ? (reason ?? 'none') : 'none' }, share);
      },
    });
  }

  /** The text of `/metrics`, in the Prometheus exposition format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[] = []): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name, help, registers: [this.#registry] });
  }

  #histogram<L extends string>(name: string, help: string, buckets: number[], labelNames: L[] = []): Histogram<L> {
    return new Histogram({ name, help, buckets, labelNames, registers: [this.#registry] });
  }
}
