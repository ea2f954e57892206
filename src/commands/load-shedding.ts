import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';
import type { Tally } from '../telemetry/hot-metrics.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { every } from '../jobs/periodic.ts';
import { ResidentMemory } from '../telemetry/system.ts';

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
/** Delays of the event loop that a single turn may take. */
const longTurn = 4;

/** Frees memory before work is refused for it. */
export interface Relief {
  /** @returns how many bytes are free by it. */
  relieve(bytes: number): number;
}

/** Share of the memory limit at which buffers of slow readers are dropped, and to which they are. */
const relieveAt = 0.9;
const relieveTo = 0.8;
/** Memory that was freed is seen some time later. */
const relieveEveryMs = 1000;

/** How deep the writer is in work. */
export interface WriterLoad {
  /** Whether as many messages wait as may, in any of its stripes. */
  readonly full: boolean;
}

/**
 * How much of the work that comes may be taken. While the event loop is late or memory is short the share falls by a
 * fifth each step, while both are well below their limits it grows again slowly, and in between it stays: throughput
 * settles at what the machine can do, instead of swinging between all and nothing. The writer needs no share: its queue
 * is short, and takes again as many as it commits.
 *
 * A turn of the event loop in which the sockets bring more than it can do in time would keep the share from falling: its
 * timer waits for the end of the turn. So a turn takes work for four times the limit at most, and refuses the rest. (Not
 * less: ten thousand sends that come at once are no overload, and take half a second where others use the processors.)
 */
export class LoadShedding {
  readonly #settings: OverloadSettings;
  readonly #writer: WriterLoad;
  readonly #relief: Relief;
  readonly #delay: IntervalHistogram;
  readonly #timer: NodeJS.Timeout;
  readonly #refused: Readonly<Record<OverloadReason, Tally>>;
  readonly #memory = new ResidentMemory();
  #share = 1;
  #relievedAt = -Infinity;
  #delayMs = 0;
  /** When this turn of the event loop took its first piece of work. */
  #turnFrom: number | undefined = undefined;
  #reason: 'event_loop' | 'memory' = 'event_loop';
  /** Sends that the full writer refused, and all that were asked about, in this step. */
  #writerRefused = 0;
  #asked = 0;
  #writerShare = 1;

  constructor(settings: OverloadSettings, parts: { writer: WriterLoad; relief: Relief; metrics: Metrics }) {
    const { metrics } = parts;
    this.#settings = settings;
    this.#writer = parts.writer;
    this.#relief = parts.relief;
    this.#refused = {
      event_loop: metrics.overloaded.labels({ limit: 'event_loop' }),
      memory: metrics.overloaded.labels({ limit: 'memory' }),
      writer: metrics.overloaded.labels({ limit: 'writer' }),
    };
    this.#delay = monitorEventLoopDelay({ resolution: 10 });
    this.#delay.enable();
    this.#timer = every(() => this.#step(), stepMs);
    metrics.watchOverload(() => ({ share: Math.min(this.#share, this.#writerShare), reason: this.reason }));
  }

  /** Why work is refused at the moment; undefined: all of it is taken. */
  get reason(): OverloadReason | undefined {
    if (this.#share < 1) return this.#reason;
    return this.#writerShare < 1 ? 'writer' : undefined;
  }

  /** Whether this piece of work is taken. */
  admit(): boolean {
    this.#asked++;
    if (this.#turnIsLong()) {
      this.#refused.event_loop.inc();
      return false;
    }
    if (this.#share >= 1 || Math.random() < this.#share) return true;
    this.#refused[this.#reason].inc();
    return false;
  }

  /** Sends may have to be refused: it is worth looking at which room they are for. */
  get writerFull(): boolean {
    return this.#writer.full;
  }

  writerRefused(): void {
    this.#writerRefused++;
    this.#refused.writer.inc();
  }

  #turnIsLong(): boolean {
    const now = performance.now();
    if (this.#turnFrom !== undefined) return now - this.#turnFrom > longTurn * this.#settings.maxEventLoopDelayMs;
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
    const memory = this.#memory.read();
    this.#relieve(memory, maxMemoryBytes);
    const loads: ['event_loop' | 'memory', number][] = [
      ['event_loop', this.#delayMs / maxEventLoopDelayMs],
      ['memory', memory / maxMemoryBytes],
    ];
    const [reason, load] = loads.reduce((worst, next) => (next[1] > worst[1] ? next : worst));
    if (load > 1) {
      this.#reason = reason;
      this.#share = Math.max(least, this.#share * 0.8);
    } else if (load < 0.7) {
      this.#share = Math.min(1, this.#share + 0.05);
    }
    const writerShare = this.#writerRefused === 0 ? 1 : 1 - this.#writerRefused / Math.max(this.#asked, 1);
    // what a step of a tenth of a second saw is a sample: a newcomer shall not slip in between two of them
    this.#writerShare += (writerShare - this.#writerShare) * (writerShare < this.#writerShare ? 1 : newest);
    if (this.#writerShare > 0.99) this.#writerShare = 1;
    this.#writerRefused = this.#asked = 0;
  }

  /** Who does not read pays first: the largest buffers go before the work of anybody else is refused. */
  #relieve(memory: number, maxMemoryBytes: number): void {
    const now = performance.now();
    if (memory < relieveAt * maxMemoryBytes || now - this.#relievedAt < relieveEveryMs) return;
    this.#relievedAt = now;
    this.#relief.relieve(memory - relieveTo * maxMemoryBytes);
  }
}
