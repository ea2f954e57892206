// @ts-check

/**
 * @typedef {object} Sent
 * @property {string} id
 * @property {string} from user that sent it
 * @property {number} n the sender's own count
 * @property {number} seq what the ack said
 * @property {boolean} again it took more than one try, so that others may have overtaken it
 */

/**
 * What a room was sent and acknowledged by the users of one VU, held against the room's history at the end: each
 * message has to be there, once, under the number its ack gave.
 */
export class Ledger {
  /** @type {Map<string, Sent>} */
  #sent = new Map();
  /** @type {Map<string, number[]>} every number under which a message of ours was found */
  #found = new Map();
  #previous = 0;
  /** Numbers the history leaves out, and those it gives twice or in disorder. */
  skipped = 0;
  disorder = 0;

  /** @param {Sent} sent */
  add(sent) {
    this.#sent.set(sent.id, sent);
  }

  get size() {
    return this.#sent.size;
  }

  /** Where history has to be read from, to be passed as `after`. */
  get after() {
    let least = Infinity;
    for (const { seq } of this.#sent.values()) least = Math.min(least, seq);
    return least === Infinity ? 0 : least - 1;
  }

  /**
   * The pages from `after` to the head, in order.
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
   * After the last page.
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
