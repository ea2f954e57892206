// @ts-check

/**
 * The events besides `message` that carry a `rev` of their room. They are numbered by the same counter: whoever did not
 * listen to them would take each edit for a gap.
 */
export const changeEvents = ['message:updated', 'message:deleted', 'reaction', 'pin', 'room:purged'];

/** What is kept of a gap; what is beyond is lost at once, so that a server that skips a million costs no memory. */
const keptMissing = 100_000;

/**
 * What one connection hears of one room, judged. A server owes it every change after the head it told (`ready`, or the
 * answer to a join), once and in order. The connection is subscribed before that head is read, so changes up to the
 * head may come too, but need not.
 *
 * States: not begun (the head is not known; gaps are noted, and forgotten up to the head when it comes), begun. A stream
 * ends with its connection, or when the server says `behind`; the next one is another Stream.
 */
export class Stream {
  doubled = 0;
  reordered = 0;
  /** The last change that came in order; undefined before the first. @type {number | undefined} */
  last;
  /** @type {number | undefined} */
  #first;
  /** @type {number | undefined} */
  #head;
  /** @type {Set<number>} */
  #missing = new Set();
  #beyond = 0;

  /** @param {number} head changes up to it are known otherwise */
  begin(head) {
    this.#head = head;
    for (const rev of this.#missing) if (rev <= head) this.#missing.delete(rev);
    if (this.#first !== undefined) this.#miss(head + 1, this.#first - 1);
  }

  /** @param {number} rev of a change that came */
  take(rev) {
    if (this.last === undefined) {
      if (this.#head !== undefined) this.#miss(this.#head + 1, rev - 1);
      this.#first = this.last = rev;
    } else if (rev > this.last) {
      this.#miss(Math.max(this.last, this.#head ?? 0) + 1, rev - 1);
      this.last = rev;
    } else if (this.#missing.delete(rev) || (this.#first !== undefined && rev < this.#first)) {
      this.reordered += 1;
      this.#first = Math.min(this.#first ?? rev, rev);
    } else this.doubled += 1;
  }

  /** Up to which change this stream says something: what it heard, or what it was told at its begin. */
  get reached() {
    return Math.max(this.last ?? 0, this.#head ?? 0);
  }

  /**
   * @param {number} [head] where the room stands, once nothing more is on its way; left out for a connection that was cut
   * @returns {number} changes that did not come
   */
  lost(head) {
    return this.#missing.size + this.#beyond + (head === undefined ? 0 : Math.max(0, head - this.reached));
  }

  /**
   * @param {number} from
   * @param {number} to included
   */
  #miss(from, to) {
    for (let rev = from; rev <= to; rev++) {
      if (this.#missing.size >= keptMissing) {
        this.#beyond += to - rev + 1;
        return;
      }
      this.#missing.add(rev);
    }
  }
}
