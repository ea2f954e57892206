// @ts-check

/**
 * @typedef {object} Sent
 * @property {string} id
 * @property {string} from user that sent it
 * @property {number} n the count of the sender
 * @property {number} seq of the ack
 * @property {boolean} again the send took more than one try, so other messages may have overtaken it
 */

/**
 * The acknowledged messages of one room that the users of one VU sent. At the end they are compared with the history of the
 * room: each message has to be there, once, with the seq of its ack.
 */
export class Ledger {
  /** @type {Map<string, Sent>} */
  #sent = new Map();
  /** @type {Map<string, number[]>} every seq under which the history has a message of this ledger */
  #found = new Map();
  #previous = 0;
  /** Seqs that the history lacks, and seqs that it has twice or in disorder. */
  skipped = 0;
  disorder = 0;

  /** @param {Sent} sent */
  add(sent) {
    this.#sent.set(sent.id, sent);
  }

  get size() {
    return this.#sent.size;
  }

  /** The `after` of the first page of history to read. */
  get after() {
    let least = Infinity;
    for (const { seq } of this.#sent.values()) least = Math.min(least, seq);
    return least === Infinity ? 0 : least - 1;
  }

  /**
   * Takes the pages from `after` to the head, in order.
   * @param {readonly {id: string, seq: number}[]} messages
   */
  page(messages) {
    if (this.#previous === 0) this.#previous = this.after;
    for (const { id, seq } of messages) {
      if (seq > this.#previous) this.skipped += seq - this.#previous - 1;
      else this.disorder += 1;
      this.#previous = Math.max(seq, this.#previous);
      if (!this.#sent.has(id)) continue;
      const found = this.#found.get(id);
      if (found === undefined) this.#found.set(id, [seq]);
      else found.push(seq);
    }
  }

  /**
   * Compares, after the last page.
   * @returns {{found: number, lost: number, doubled: number, reordered: number}}
   */
  judge() {
    const outcome = { found: 0, lost: this.skipped, doubled: 0, reordered: this.disorder };
    /** @type {Map<string, {n: number, seq: number}>} */
    const before = new Map();
    for (const sent of [...this.#sent.values()].sort((a, b) => a.n - b.n)) {
      const seqs = this.#found.get(sent.id) ?? [];
      if (seqs.length === 0) outcome.lost += 1;
      else outcome.found += 1;
      outcome.doubled += Math.max(0, seqs.length - 1);
      if (seqs.length > 0 && !seqs.includes(sent.seq)) outcome.reordered += 1;
      if (sent.again) continue;
      const previous = before.get(sent.from);
      if (previous !== undefined && previous.seq > sent.seq) outcome.reordered += 1;
      before.set(sent.from, sent);
    }
    return outcome;
  }
}
