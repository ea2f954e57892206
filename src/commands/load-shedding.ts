import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';
import type { Tally } from '../telemetry/hot-metrics.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { every } from '../jobs/periodic.ts';
import { ResidentMemory } from '../telemetry/system.ts';

export interface OverloadSettings {
  /** The delay of the event loop over which work is refused. */
  readonly maxEventLoopDelayMs: number;
  /** The resident memory over which work is refused. */
  readonly maxMemoryBytes: number;
}

export type OverloadReason = 'event_loop' | 'memory' | 'writer';

const stepMs = 100;
/** Weight of the newest step in the average delay: one long turn is no overload, a second of long turns is. */
const newest = 0.2;
const least = 0.05;
/** The limit of one turn, as a multiple of the accepted delay. */
const longTurn = 4;

/** Frees memory before work is refused for it. */
export interface Relief {
  /** @returns the number of freed bytes. */
  relieve(bytes: number): number;
}

/** Shares of the memory limit: buffers of slow consumers are dropped from the first on, down to the second. */
const relieveAt = 0.9;
const relieveTo = 0.8;
/** The process shows freed memory with a delay. */
const relieveEveryMs = 1000;

/** The queue of the writer. */
export interface WriterLoad {
  /** Whether users share the places of any stripe. */
  readonly crowded: boolean;
}

/**
 * Decides which part of the arriving work is admitted. While the event loop is late or memory is short, the admitted share
 * falls by a fifth each step. While both are well below their limits the share grows slowly, and in between it stays. So
 * throughput settles at the capacity of the machine, and does not swing between all and nothing. The writer needs no share:
 * its queue is short, and accepts as many messages as it commits.
 *
 * The share cannot fall within a turn of the event loop, because its timer waits for the end of the turn. So a turn admits
 * work for four times the limit at most, and refuses the rest. A smaller multiple would refuse ten thousand sends at once,
 * which are no overload: they take half a second where other processes use the processors.
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
  /** When this turn of the event loop got its first piece of work. */
  #turnFrom: number | undefined = undefined;
  #reason: 'event_loop' | 'memory' = 'event_loop';
  /** Sends that the full writer refused, and all events, in this step. */
  #writerRefused = 0;
  #events = 0;
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

  /** The limit over which work is refused now; undefined: all work is admitted. */
  get reason(): OverloadReason | undefined {
    if (this.#share < 1) return this.#reason;
    return this.#writerShare < 1 ? 'writer' : undefined;
  }

  /** Whether this piece of work is admitted. */
  admit(): boolean {
    this.#events++;
    if (this.#turnIsLong()) {
      this.#refused.event_loop.inc();
      return false;
    }
    if (this.#share >= 1 || Math.random() < this.#share) return true;
    this.#refused[this.#reason].inc();
    return false;
  }

  /** Whether a send may have to be refused, which depends on its room and its user. */
  get writerCrowded(): boolean {
    return this.#writer.crowded;
  }

  /** @param full false: only the share of the user is taken, which is no load of the node */
  writerRefused(full: boolean): void {
    if (full) this.#writerRefused++;
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
    // the histogram counts whole sleeps, and its resolution is no delay; while the loop never waits it is empty
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
    const writerShare = this.#writerRefused === 0 ? 1 : 1 - this.#writerRefused / Math.max(this.#events, 1);
    // a step of 100 ms is a sample; new connections must not get in between two refusals
    this.#writerShare += (writerShare - this.#writerShare) * (writerShare < this.#writerShare ? 1 : newest);
    if (this.#writerShare > 0.99) this.#writerShare = 1;
    this.#writerRefused = this.#events = 0;
  }

  /** Drops the largest buffers of slow consumers before work of other clients is refused. */
  #relieve(memory: number, maxMemoryBytes: number): void {
    const now = performance.now();
    if (memory < relieveAt * maxMemoryBytes || now - this.#relievedAt < relieveEveryMs) return;
    this.#relievedAt = now;
    this.#relief.relieve(memory - relieveTo * maxMemoryBytes);
  }
}
