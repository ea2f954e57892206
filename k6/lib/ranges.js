// @ts-check

/** A set of whole numbers, kept as ranges: a room without a hole needs one pair, whatever its length. */
export class Ranges {
  /** @type {[number, number][]} sorted, neither overlapping nor touching */
  #ranges = [];

  /** @param {number} n */
  add(n) {
    this.addRange(n, n);
  }

  /**
   * @param {number} from
   * @param {number} to included
   */
  addRange(from, to) {
    if (to < from) return;
    const ranges = this.#ranges;
    const last = ranges[ranges.length - 1];
    if (last !== undefined && from > last[0] && from <= last[1] + 1) {
      last[1] = Math.max(last[1], to);
      return;
    }
    let at = ranges.length;
    while (at > 0 && /** @type {[number, number]} */ (ranges[at - 1])[1] >= from - 1) at--;
    let until = at;
    let [low, high] = [from, to];
    for (; until < ranges.length; until++) {
      const range = /** @type {[number, number]} */ (ranges[until]);
      if (range[0] > to + 1) break;
      low = Math.min(low, range[0]);
      high = Math.max(high, range[1]);
    }
    ranges.splice(at, until - at, [low, high]);
  }

  /** @param {number} n */
  has(n) {
    return this.#ranges.some(([from, to]) => from <= n && n <= to);
  }

  /**
   * @param {number} from
   * @param {number} to included
   * @returns {number} how many of these numbers are not in the set
   */
  missing(from, to) {
    let count = Math.max(0, to - from + 1);
    for (const [low, high] of this.#ranges) count -= Math.max(0, Math.min(to, high) - Math.max(from, low) + 1);
    return count;
  }

  /**
   * @param {number} n
   * @returns {number} the last of the numbers that follow n without a hole; n itself if the next is missing
   */
  reach(n) {
    for (const [from, to] of this.#ranges) if (from <= n + 1 && n + 1 <= to) return to;
    return n;
  }
}
