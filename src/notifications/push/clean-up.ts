/**
 * Whether answers that call a device gone may remove it. A push service in trouble may call all of them gone. Over
 * `mostGone` of the sends of five minutes, no device is removed until the share has fallen.
 */
const windowMs = 5 * 60_000;
const bucketMs = 10_000;
const leastSends = 200;
const mostGone = 0.05;

interface Bucket {
  readonly at: number;
  sends: number;
  gone: number;
}

export class CleanUp {
  readonly #now: () => number;
  #buckets: Bucket[] = [];

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  note(isGone: boolean): void {
    const at = Math.floor(this.#now() / bucketMs) * bucketMs;
    let last = this.#buckets.at(-1);
    if (last?.at !== at) {
      last = { at, sends: 0, gone: 0 };
      this.#buckets.push(last);
    }
    last.sends++;
    if (isGone) last.gone++;
  }

  get allowed(): boolean {
    const from = this.#now() - windowMs;
    this.#buckets = this.#buckets.filter(({ at }) => at > from);
    const sends = this.#buckets.reduce((sum, bucket) => sum + bucket.sends, 0);
    const gone = this.#buckets.reduce((sum, bucket) => sum + bucket.gone, 0);
    return sends < leastSends || gone < sends * mostGone;
  }
}
