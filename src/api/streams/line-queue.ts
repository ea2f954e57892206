/** The lines that a stream has not sent, with the place that a client reaches by each of them. */

/** Every change up to `rev`, and every message up to `seq`, is in the stream. */
export interface Position {
  readonly rev: number;
  readonly seq: number;
}

interface Line {
  readonly bytes: Uint8Array;
  readonly position: Position;
}

/** The bridge writes a part of this size at once, so that no cut is inside of a line. A longer line is a part of its own. */
const partBytes = 16 * 1024;

export class LineQueue {
  #lines: Line[] = [];
  #first = 0;
  #bytes = 0;
  /** The place after the part that is on its way. */
  given: Position = { rev: 0, seq: 0 };
  #before: Position = this.given;
  #isWhole = true;

  get size(): number {
    return this.#lines.length - this.#first;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(bytes: Uint8Array, position: Position): void {
    this.#lines.push({ bytes, position });
    this.#bytes += bytes.byteLength;
  }

  /** The next part: whole lines. The queue is not empty. */
  take(): Uint8Array {
    const parts: Uint8Array[] = [];
    let length = 0;
    while (this.#first < this.#lines.length) {
      const { bytes, position } = this.#lines[this.#first] as Line;
      if (parts.length > 0 && length + bytes.byteLength > partBytes) break;
      this.#first++;
      parts.push(bytes);
      length += bytes.byteLength;
      this.given = position;
    }
    this.#bytes -= length;
    this.#isWhole = length <= partBytes;
    if (this.#first === this.#lines.length) this.clear();
    return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
  }

  /** The part on its way was written whole. */
  taken(): void {
    this.#before = this.given;
    this.#isWhole = true;
  }

  /** The place that a client has certainly reached when it is cut off, and whether the cut is between lines. */
  reached(): { readonly position: Position; readonly isWhole: boolean } {
    return { position: this.#isWhole ? this.given : this.#before, isWhole: this.#isWhole };
  }

  clear(): void {
    this.#lines = [];
    this.#first = 0;
    this.#bytes = 0;
  }
}
