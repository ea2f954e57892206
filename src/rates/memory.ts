import { systemClock, type Clock } from '../jobs/clock.ts';
import { certainOf, partsOf, type Hits, type Rate, type Rates, type Taken } from './rates.ts';

/** Counts by part of time, oldest first. */
interface Window {
  parts: { part: number; count: number }[];
  /** The moment after which no part counts any more. */
  until: number;
}

/** The form for one node. */
export class MemoryRates implements Rates {
  readonly #maxKeys: number;
  readonly #forgot: () => void;
  readonly #clock: Clock;
  /** In the order of the last hit. */
  readonly #windows = new Map<string, Window>();

  /** @param maxKeys beyond it the key with the oldest hit is forgotten, with a call of `forgot`, and starts again */
  constructor(options: { readonly maxKeys?: number; readonly forgot?: () => void; readonly clock?: Clock } = {}) {
    this.#maxKeys = options.maxKeys ?? 100_000;
    this.#forgot = options.forgot ?? (() => {});
    this.#clock = options.clock ?? systemClock;
  }

  take(key: string, cost: number, rate: Rate): Promise<Taken> {
    return Promise.resolve(this.#count(key, cost, rate, false));
  }

  record(key: string, cost: number, rate: Rate, earlier: readonly Hits[] = []): Promise<Taken> {
    if (earlier.length > 0) this.#restore(key, rate, earlier);
    return Promise.resolve(this.#count(key, cost, rate, true));
  }

  get size(): number {
    return this.#windows.size;
  }

  #count(key: string, cost: number, rate: Rate, always: boolean): Taken {
    const { limit, windowMs } = rate;
    const parts = partsOf(rate);
    const now = this.#clock.now();
    const length = Math.floor(windowMs / parts);
    const current = Math.floor(now / length);
    const window = this.#windows.get(key) ?? { parts: [], until: 0 };
    while ((window.parts[0]?.part ?? current) < current - parts) window.parts.shift();
    let sum = window.parts.reduce((total, { count }) => total + count, 0);
    const counts = cost > 0 && (always || sum + cost <= limit);
    if (counts) {
      const last = window.parts.at(-1);
      if (last?.part === current) last.count += cost;
      // push would make room for 16 more: 128 bytes for each user who has just connected
      else if (last === undefined) window.parts = [{ part: current, count: cost }];
      else window.parts.push({ part: current, count: cost });
      window.until = (current + parts + 1) * length;
      sum += cost;
      this.#keep(key, window, now);
    }
    const wanted = always ? 1 : cost;
    if (always ? sum + wanted <= limit : counts || cost === 0) {
      return { allowed: true, remaining: Math.max(0, limit - sum), resetMs: 0 };
    }
    let freed = 0;
    for (const { part, count } of window.parts) {
      freed += count;
      if (sum - freed + wanted > limit) continue;
      const resetMs = Math.ceil((part + parts + 1) * length - now);
      return { allowed: false, remaining: Math.max(0, limit - sum), resetMs };
    }
    return { allowed: false, remaining: Math.max(0, limit - sum), resetMs: windowMs };
  }

  #restore(key: string, rate: Rate, earlier: readonly Hits[]): void {
    const known = this.#windows.get(key)?.parts.reduce((sum, { count }) => sum + count, 0) ?? 0;
    if (known >= certainOf(earlier, rate)) return;
    const length = Math.floor(rate.windowMs / partsOf(rate));
    const now = this.#clock.now();
    const current = Math.floor(now / length);
    const restored = earlier.map(({ age, count }) => ({ part: current - age, count }));
    this.#keep(key, { parts: restored, until: (current + partsOf(rate) + 1) * length }, now);
  }

  #keep(key: string, window: Window, now: number): void {
    this.#windows.delete(key);
    this.#windows.set(key, window);
    // a few of the oldest at each step, so that nothing has to go through all of them
    for (const [old, { until }] of this.#windows) {
      if (until > now) {
        if (this.#windows.size <= this.#maxKeys) break;
        this.#forgot();
      }
      this.#windows.delete(old);
    }
  }
}
