// @ts-check

/**
 * The events besides `message` that carry a `rev` of their room. The same counter numbers them, so a client that ignores them
 * would take each edit for a gap.
 */
export const changeEvents = ['message:updated', 'message:deleted', 'reaction', 'pin', 'room:purged'];

/** Revs of a gap that are kept. Revs beyond count as lost at once, so a gap of a million costs no memory. */
const keptMissing = 100_000;

/**
 * The changes of one room that one connection receives, with their faults. The server owes the connection every change after
 * the head (of `ready`, or of the answer to a join), once and in order. The server subscribes the connection before it reads
 * that head, so changes up to the head may come too, but need not.
 *
 * States: not begun (the head is not known; gaps are noted, and forgotten up to the head when it comes), begun. A stream
 * ends with its connection, or when the server sends `behind`. The next one is another Stream.
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

  /** @param {number} head changes up to the head are known otherwise */
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

  /** The last change that this stream knows of: the last received one, or the head of its beginning. */
  get reached() {
    return Math.max(this.last ?? 0, this.#head ?? 0);
  }

  /**
   * @param {number} [head] of the room, once no event is on its way; left out for a connection that was cut
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
