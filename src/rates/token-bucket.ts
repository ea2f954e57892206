import { systemClock, type Clock } from '../jobs/clock.ts';

/** The tokens of one key. A caller that keeps a bucket drops it when `sweep` has forgotten it. */
export interface Bucket {
  tokens: number;
  at: number;
}

/** A rate with a burst, for many keys at once. Idle keys cost nothing: full buckets are forgotten by `sweep`. */
export class TokenBuckets {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #buckets = new Map<string, Bucket>();
  readonly #clock: Clock;

  constructor(perSecond: number, burst: number, clock: Clock = systemClock) {
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#burst = burst;
  }

  /** Takes so many tokens if they are there. @returns 0 if they were, else the milliseconds until they are. */
  take(key: string, now = this.#clock.now(), cost = 1): number {
    return this.takeFrom(this.bucket(key, now), now, cost);
  }

  takeFrom(bucket: Bucket, now: number, cost: number): number {
    this.#refill(bucket, now);
    if (bucket.tokens < cost) return Math.ceil(((cost - bucket.tokens) / this.#perSecond) * 1000);
    bucket.tokens -= cost;
    return 0;
  }

  /** Takes tokens that were used already, also more than there are: `wait` says how long the key is in debt. */
  charge(key: string, cost: number, now = this.#clock.now()): void {
    this.chargeTo(this.bucket(key, now), now, cost);
  }

  chargeTo(bucket: Bucket, now: number, cost: number): void {
    this.#refill(bucket, now);
    bucket.tokens -= cost;
  }

  /** @returns 0 if the key has so many tokens (0: is in no debt), else the milliseconds until it has. Takes none. */
  wait(key: string, tokens = 0, now = this.#clock.now()): number {
    const bucket = this.#buckets.get(key);
    return bucket === undefined || bucket.tokens >= tokens ? 0 : this.waitFor(bucket, now, tokens);
  }

  waitFor(bucket: Bucket, now: number, tokens: number): number {
    return Math.max(0, Math.ceil(((tokens - bucket.tokens) / this.#perSecond) * 1000 - (now - bucket.at)));
  }

  /** @param forgotten called with each key whose bucket is full, and forgotten */
  sweep(now = this.#clock.now(), forgotten?: (key: string) => void): void {
    for (const [key, bucket] of this.#buckets) {
      if (bucket.tokens + ((now - bucket.at) / 1000) * this.#perSecond < this.#burst) continue;
      this.#buckets.delete(key);
      forgotten?.(key);
    }
  }

  get size(): number {
    return this.#buckets.size;
  }

  bucket(key: string, now: number): Bucket {
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = { tokens: this.#burst, at: now };
      this.#buckets.set(key, bucket);
    }
    return bucket;
  }

  #refill(bucket: Bucket, now: number): void {
    bucket.tokens = Math.min(this.#burst, bucket.tokens + ((now - bucket.at) / 1000) * this.#perSecond);
    bucket.at = now;
  }
}
