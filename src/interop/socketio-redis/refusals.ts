import type { Log } from '../../telemetry/log.ts';
import type { InteropRefusal, Metrics } from '../../telemetry/metrics.ts';

/** A message of a back end that Parley refuses. */
export class Refused extends Error {
  readonly reason: InteropRefusal;

  /** @param detail names the refused message in the log; without data of users. */
  constructor(reason: InteropRefusal, detail: string) {
    super(detail);
    this.name = 'Refused';
    this.reason = reason;
  }
}

const everyMs = 60_000;

/** Counts refused messages. Back ends get no answer, so the log has each reason, at most once a minute. */
export class Refusals {
  readonly #metrics: Metrics;
  readonly #log: Log;
  readonly #logged = new Map<InteropRefusal, { at: number; count: number }>();

  constructor(metrics: Metrics, log: Log) {
    this.#metrics = metrics;
    this.#log = log;
  }

  /** @param error counts as `malformed` if it is no `Refused`. */
  count(error: unknown): void {
    const { reason, message } =
      error instanceof Refused
        ? error
        : new Refused('malformed', 'a message that @socket.io/redis-adapter did not write');
    this.#metrics.interop.refused.inc({ reason });
    const now = performance.now();
    const last = this.#logged.get(reason);
    if (last !== undefined && now - last.at < everyMs) {
      last.count++;
      return;
    }
    this.#logged.set(reason, { at: now, count: 0 });
    const more = last === undefined || last.count === 0 ? {} : { unlogged: last.count };
    const err = error instanceof Refused ? {} : { err: error };
    this.#log.warn(
      { reason, ...more, ...err },
      `Refused and ignored a message of a back end: ${message} (docs/backends.md).`,
    );
  }
}
