import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';
import type { Metrics } from '../telemetry/metrics.ts';

export interface OverloadSettings {
  /** Delay of the event loop over which work is refused. */
  readonly maxEventLoopDelayMs: number;
  /** Resident memory over which work is refused. */
  readonly maxMemoryBytes: number;
}

export type OverloadReason = 'event_loop' | 'memory' | 'writer';

const stepMs = 100;
/** Weight of the newest step in the delay that counts: one long turn is no overload, a second of them is. */
const newest = 0.2;
const least = 0.05;
/** Half of what may wait for its commit: the other half is for what comes before the share has fallen. */
const maxWriterFill = 0.5;

/** How deep the writer is in work. */
export interface WriterLoad {
  readonly fill: number;
}

/**
 * How much of the work that comes may be taken. While a limit is passed the share falls by a fifth each step, while all
 * are well below it grows again slowly, and in between it stays: throughput settles at what the machine can do, instead
 * of swinging between all and nothing.
 *
 * A turn of the event loop in which the sockets bring more than it can do in time would keep the share from falling: its
 * timer waits for the end of the turn. So a turn takes work only as long as the limit allows, and refuses the rest.
 */
export class Overload {
  readonly #settings: OverloadSettings;
  readonly #writer: WriterLoad;
  readonly #delay: IntervalHistogram;
  readonly #timer: NodeJS.Timeout;
  readonly #metrics: Metrics;
  #share = 1;
  #delayMs = 0;
  /** When this turn of the event loop took its first piece of work. */
  #turnFrom: number | undefined = undefined;
  #reason: OverloadReason | undefined = undefined;

  constructor(settings: OverloadSettings, writer: WriterLoad, metrics: Metrics) {
    this.#settings = settings;
    this.#writer = writer;
    this.#metrics = metrics;
    this.#delay = monitorEventLoopDelay({ resolution: 10 });
    this.#delay.enable();
    this.#timer = setInterval(() => this.#step(), stepMs);
    metrics.watchOverload(() => ({ share: this.#share, reason: this.#reason }));
  }

  /** Why work is refused at the moment; undefined: all of it is taken. */
  get reason(): OverloadReason | undefined {
    return this.#share < 1 ? this.#reason : undefined;
  }

  /** Whether this piece of work is taken. */
  admit(): boolean {
    if (this.#turnIsLong()) {
      this.#metrics.overloaded.inc({ limit: 'event_loop' });
      return false;
    }
    if (this.#share >= 1 || Math.random() < this.#share) return true;
    this.#metrics.overloaded.inc({ limit: this.#reason ?? 'event_loop' });
    return false;
  }

  #turnIsLong(): boolean {
    const now = performance.now();
    if (this.#turnFrom !== undefined) return now - this.#turnFrom > this.#settings.maxEventLoopDelayMs;
    this.#turnFrom = now;
    setImmediate(() => {
      this.#turnFrom = undefined;
    });
    return false;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#delay.disable();
  }

  #step(): void {
    // the histogram counts whole sleeps; what is over its own resolution is delay. It is empty while the loop never waits.
    const mean = this.#delay.mean;
    const delayMs = Number.isNaN(mean) ? 0 : Math.max(0, mean / 1e6 - 10);
    this.#delayMs += newest * (delayMs - this.#delayMs);
    this.#delay.reset();
    const { maxEventLoopDelayMs, maxMemoryBytes } = this.#settings;
    const loads: [OverloadReason, number][] = [
      ['event_loop', this.#delayMs / maxEventLoopDelayMs],
      ['writer', this.#writer.fill / maxWriterFill],
      ['memory', process.memoryUsage.rss() / maxMemoryBytes],
    ];
    const [reason, load] = loads.reduce((worst, next) => (next[1] > worst[1] ? next : worst));
    if (load > 1) {
      this.#reason = reason;
      this.#share = Math.max(least, this.#share * 0.8);
    } else if (load < 0.7) {
      this.#share = Math.min(1, this.#share + 0.05);
    }
  }
}
