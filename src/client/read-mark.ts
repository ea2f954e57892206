/** Moves one room's read mark: many calls in a short time become one command, and a lost one is sent again. */
const gatherMs = 250;

export class ReadMark {
  readonly #tell: (seq: number) => Promise<unknown>;
  #wanted = 0;
  #told = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(tell: (seq: number) => Promise<unknown>) {
    this.#tell = tell;
  }

  /** @returns whether it is ahead of what was wanted so far */
  move(seq: number): boolean {
    if (seq <= this.#wanted) return false;
    this.#wanted = seq;
    this.#timer ??= setTimeout(() => void this.flush(), gatherMs);
    return true;
  }

  /** Where the server has it; another device may have moved it. */
  stands(seq: number): void {
    this.#told = Math.max(this.#told, seq);
    this.#wanted = Math.max(this.#wanted, seq);
  }

  /** The history went back, and the mark with it. */
  reset(seq: number): void {
    this.#told = this.#wanted = seq;
  }

  /** Tells what is untold; also called when the connection is back, and at the end. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const seq = this.#wanted;
    if (seq <= this.#told) return;
    try {
      await this.#tell(seq);
      this.#told = Math.max(this.#told, seq);
    } catch {
      // It stays untold until the next move or the next connection; a read mark is worth no loop of its own.
    }
  }
}
