/**
 * The messages that a stream has sent. A read of changes returns a message at the rev of its last change, so the messages of
 * one read come out of seq order. A message of the history comes again if it changed during the read of the history.
 */
import type { Row } from './stream-reads.ts';

/** Messages out of seq order that are remembered, and pages of the history. */
const most = 10_000;

export class SentMessages {
  /** Every message up to this seq was sent. */
  #upTo: number;
  readonly #beyond = new Set<number>();
  /** Pages of the history in seq order: messages up to `seq` were sent as of `rev`. */
  #pages: { readonly seq: number; readonly rev: number }[] = [];

  /** @param upTo the client has the messages up to this seq */
  constructor(upTo: number) {
    this.#upTo = upTo;
  }

  get upTo(): number {
    return this.#upTo;
  }

  sentUpTo(seq: number): void {
    this.#upTo = Math.max(this.#upTo, seq);
  }

  /** A page of the history was sent, as of the rev. */
  page(rev: number): void {
    const last = this.#pages.at(-1);
    if (last?.rev === rev) this.#pages.pop();
    this.#pages.push({ seq: this.#upTo, rev });
    // the changes of the oldest page may come twice then
    if (this.#pages.length > most) this.#pages.shift();
  }

  /** A read of changes has the message. @returns undefined if the client has this state of the message */
  note({ seq, rev }: Row): 'message' | 'updated' | undefined {
    if (seq > this.#upTo && !this.#beyond.has(seq)) {
      this.#beyond.add(seq);
      while (this.#beyond.delete(this.#upTo + 1)) this.#upTo++;
      // expired messages leave holes; a message that fills such a hole comes as `updated`
      if (this.#beyond.size > most) this.allSent();
      return 'message';
    }
    const shown = this.#pages.find((page) => seq <= page.seq);
    return shown !== undefined && rev <= shown.rev ? undefined : 'updated';
  }

  /** The reads have reached the head: messages that were not there do not exist. */
  allSent(): void {
    this.#upTo = Math.max(this.#upTo, ...this.#beyond);
    this.#beyond.clear();
    this.#pages = [];
  }
}
