import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection } from './connection.ts';
import type { Connections, Topics } from './connections.ts';
import { packet } from './engine.ts';

const topics = 25;
const sweepMs = 1000;

/**
 * Heartbeat and deadlines without a timer a connection. Connections are spread over 25 topics; in turn each gets a ping,
 * so that every connection has one each pingInterval and the load is even. Once a second all connections are looked at
 * for an expired token or a CONNECT that did not come: 15,000 take about half a millisecond.
 */
export class Heartbeat {
  readonly #options: { topics: Topics; connections: Connections; connectTimeoutMs: number; metrics: Metrics; log: Log };
  readonly #timers: NodeJS.Timeout[];
  #assigned = 0;
  #pinged = 0;

  constructor(
    options: { topics: Topics; connections: Connections; connectTimeoutMs: number; metrics: Metrics; log: Log },
    pingIntervalMs: number,
  ) {
    this.#options = options;
    this.#timers = [
      setInterval(() => this.#ping(), pingIntervalMs / topics),
      setInterval(() => this.#guarded(), sweepMs),
    ];
  }

  join(connection: Connection): void {
    connection.subscribe(pingTopic(this.#assigned++ % topics));
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #ping(): void {
    this.#options.topics.publish(pingTopic(this.#pinged++ % topics), packet.ping);
  }

  #guarded(): void {
    try {
      this.#sweep(Date.now(), performance.now());
    } catch (error) {
      this.#options.metrics.internalErrors.inc({ where: 'sweep' });
      this.#options.log.error({ err: error }, 'the sweep of connections failed');
    }
  }

  #sweep(clock: number, now: number): void {
    const connectBefore = (now - this.#options.connectTimeoutMs) / 1000;
    for (const connection of this.#options.connections.all()) {
      if (connection.state === 'ready') {
        if (connection.expires <= clock) connection.close('token_expired', 'token_expired');
      } else if (connection.openedAt < connectBefore) {
        connection.close('connect_timeout', 'connect_timeout');
      }
    }
  }
}

function pingTopic(n: number): string {
  return `p:${n}`;
}
