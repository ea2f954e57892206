/** A row of the buffer: its JSON, or the parts around the fields that differ for each viewer (`mine` of reactions). */
export interface ReplayRow {
  readonly rev: number;
  readonly text: string | Personal;
}

export interface Personal {
  /** One more than `reactors`; `,"mine":…` goes between two parts. */
  readonly parts: readonly string[];
  readonly reactors: readonly ReadonlySet<string>[];
}

export interface ReplayPage {
  readonly texts: readonly string[];
  /** Bytes of the texts, about. */
  readonly bytes: number;
  /** The cursor of a client that has this page. */
  readonly reached: number;
  readonly more: boolean;
}

/**
 * The last messages of one room, each in its state at `end`. They are the whole answer of `sync` for a cursor between
 * `start` and `end`. A change may concern any of these messages or an earlier one, and its event does not show the
 * resulting state. A change therefore empties the buffer and moves both ends to its rev.
 */
export class RoomReplay {
  readonly #size: number;
  #rows: ReplayRow[] = [];
  #start: number;
  #end: number;
  #bytes = 0;
  /** The buffer cannot reach below this rev: clients with earlier cursors are read one by one. */
  floor = 0;

  /** @param size messages that are kept @param head the rev of the room now */
  constructor(size: number, head: number) {
    this.#size = size;
    this.#start = this.#end = head;
  }

  get start(): number {
    return this.#start;
  }

  get end(): number {
    return this.#end;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A new message. */
  append(rev: number, json: string): void {
    if (rev !== this.#end + 1) return this.clear(rev);
    this.#rows.push({ rev, text: json });
    this.#bytes += json.length;
    this.#end = rev;
    // the rows grow to twice the size before a cut, because a cut moves the rest
    if (this.#rows.length >= this.#size * 2) this.#cut(this.#rows.length - this.#size);
  }

  /** A change that the rows do not show. */
  clear(head: number): void {
    this.#rows = [];
    this.#bytes = 0;
    this.#start = this.#end = head;
  }

  /**
   * Puts the rows of Postgres in front: all rows with revs over `after`, in their state at `head`.
   * @returns false if they do not fit: the buffer was emptied meanwhile, or `head` is not delivered yet
   */
  prepend(rows: readonly ReplayRow[], after: number, head: number): boolean {
    if (head < this.#start || head > this.#end) return false;
    const before = rows.filter(({ rev }) => rev <= this.#start);
    this.#rows.unshift(...before);
    for (const { text } of before) this.#bytes += sizeOf(text);
    this.#start = Math.min(this.#start, after);
    return true;
  }

  /** The rows after the cursor. @param bytes no further row is taken from here on; the first row always is */
  page(cursor: number, viewer: string, limit: number, bytes: number): ReplayPage {
    const from = this.#firstAfter(cursor);
    const texts: string[] = [];
    let taken = 0;
    let at = from;
    for (; at < this.#rows.length && texts.length < limit; at++) {
      const { text } = this.#rows[at] as ReplayRow;
      if (texts.length > 0 && taken >= bytes) break;
      taken += sizeOf(text);
      texts.push(textFor(text, viewer));
    }
    const more = at < this.#rows.length;
    const reached = !more ? this.#end : at === from ? cursor : (this.#rows[at - 1] as ReplayRow).rev;
    return { texts, bytes: taken, reached, more };
  }

  #cut(count: number): void {
    for (const { rev, text } of this.#rows.splice(0, count)) {
      this.#bytes -= sizeOf(text);
      this.#start = rev;
    }
  }

  #firstAfter(cursor: number): number {
    let [low, high] = [0, this.#rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#rows[middle] as ReplayRow).rev > cursor) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

function sizeOf(text: string | Personal): number {
  return typeof text === 'string' ? text.length : text.parts.reduce((sum, part) => sum + part.length + 15, 0);
}

function textFor(text: string | Personal, viewer: string): string {
  if (typeof text === 'string') return text;
  return text.parts.reduce((all, part, i) => `${all},"mine":${text.reactors[i - 1]?.has(viewer) === true}${part}`);
}
