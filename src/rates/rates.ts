/**
 * The seam for rates that hold for a key (a user) wherever it appears: at most `limit` in any window of `windowMs`.
 *
 * Sliding: the window is cut into parts, 20 by default. The hits of a part are free again one window after that part
 * ended. So no window of any position holds more than `limit`, and what was taken counts for up to one part longer than it
 * must. A log of every hit would be exact and hold 6,000 entries a user at 6,000 a minute. Two counters of whole windows
 * let twice the limit through in one window. This form has at most one number more than parts for each key.
 *
 * Order: none between keys. Atomicity: a `take` is counted whole or not at all, and what is refused is not counted.
 * Guarantee: while Redis is unavailable each node counts by itself, within its share of the limit. The share follows from the
 * number of nodes that there were while Redis answered. A form may lose counts. Each `record` repeats this node's earlier hits, and the form restores the
 * ones that it lacks. Clock: the form's own, never a client's.
 * Blocking and retries: no call waits for space or retries; `resetMs` says when a retry may succeed.
 */
export interface Rates {
  /** Counts `cost` if that keeps within the rate. */
  take(key: string, cost: number, rate: Rate): Promise<Taken>;
  /**
   * Counts a hit that has happened, within the rate or not; `allowed`: one more would be within the rate. Cost 0 counts none.
   * @param earlier what this node has recorded of the key before
   */
  record(key: string, cost: number, rate: Rate, earlier?: readonly Hits[]): Promise<Taken>;
}

/** Hits that were counted in one part of the window. */
export interface Hits {
  /** Parts since then; 0: in the current one. */
  readonly age: number;
  readonly count: number;
}

export interface Rate {
  readonly limit: number;
  /** At least a millisecond for each part. */
  readonly windowMs: number;
  /** How many parts the window has. More parts are more exact and take more memory. One key always has the same number. */
  readonly parts?: number;
}

export interface Taken {
  readonly allowed: boolean;
  /** How many more may be taken now; never under 0. */
  readonly remaining: number;
  /** Milliseconds until the cost may be taken (after `record`: until 1 may); 0 if it may now. */
  readonly resetMs: number;
}

export const windowParts = 20;

export function partsOf({ parts = windowParts }: Rate): number {
  return parts;
}

/** The count of those that are in the window for certain: the clocks of two forms differ by up to a part. */
export function certainOf(hits: readonly Hits[], rate: Rate): number {
  return hits.reduce((sum, { age, count }) => (age <= partsOf(rate) - 2 ? sum + count : sum), 0);
}
