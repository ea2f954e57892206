import type { Log } from '../../telemetry/log.ts';
import type { InteropRefusal, Metrics } from '../../telemetry/metrics.ts';

/** A message of a backend service that is not carried out. */
export class Refused extends Error {
  readonly reason: InteropRefusal;

  /** @param detail for the log; holds no data of users. */
  constructor(reason: InteropRefusal, detail: string) {
    super(detail);
    this.name = 'Refused';
    this.reason = reason;
  }
}

const everyMs = 60_000;

/** Counts what is refused. There is nobody to answer, so the log tells: once a minute for each reason. */
export class Refusals {
  readonly #metrics: Metrics;
  readonly #log: Log;
  readonly #told = new Map<InteropRefusal, { at: number; since: number }>();

  constructor(metrics: Metrics, log: Log) {
    this.#metrics = metrics;
    this.#log = log;
  }

  /** @param error anything else than a `Refused` came of a message that no check knew: it is malformed. */
  count(error: unknown): void {
    const { reason, message } =
      error instanceof Refused ? error : new Refused('malformed', 'not a message of the redis-adapter');
    this.#metrics.interopRefused.inc({ reason });
    const now = performance.now();
    const last = this.#told.get(reason);
    if (last !== undefined && now - last.at < everyMs) {
      last.since++;
      return;
    }
    this.#told.set(reason, { at: now, since: 0 });
    const more = last === undefined || last.since === 0 ? {} : { unsaid: last.since };
    const err = error instanceof Refused ? {} : { err: error };
    this.#log.warn({ reason, ...more, ...err }, `a backend service was refused: ${message} (docs/backends.md)`);
  }
}
