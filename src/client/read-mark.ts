/** Moves one room's read mark: many calls in a short time become one command. A lost command is sent again. */
const gatherMs = 250;

export class ReadMark {
  readonly #send: (seq: number) => Promise<unknown>;
  #wanted = 0;
  #sent = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (seq: number) => Promise<unknown>) {
    this.#send = send;
  }

  /** @returns whether the mark is ahead of all earlier ones */
  move(seq: number): boolean {
    if (seq <= this.#wanted) return false;
    this.#wanted = seq;
    this.#timer ??= setTimeout(() => void this.flush(), gatherMs);
    return true;
  }

  /** The read mark of the server; another device may have moved it. */
  confirmed(seq: number): void {
    this.#sent = Math.max(this.#sent, seq);
    this.#wanted = Math.max(this.#wanted, seq);
  }

  /** The epoch is another, so the mark may move back. */
  reset(seq: number): void {
    this.#sent = this.#wanted = seq;
  }

  /** Sends a mark that the server does not have; also called after a reconnect and at the end. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const seq = this.#wanted;
    if (seq <= this.#sent) return;
    try {
      await this.#send(seq);
      this.#sent = Math.max(this.#sent, seq);
    } catch {
      // The next move or the next connection sends the mark. A read mark needs no retry loop.
    }
  }
}
