/** A row of the tail: its JSON, or the parts of it around what only the viewer decides: which reactions are their own. */
export interface ReplayRow {
  readonly rev: number;
  readonly text: string | Personal;
}

export interface Personal {
  /** One more than `reactors`; between two of them stands `,"mine":…`. */
  readonly parts: readonly string[];
  readonly reactors: readonly ReadonlySet<string>[];
}

export interface ReplayPage {
  readonly texts: readonly string[];
  /** Bytes of the texts, about. */
  readonly bytes: number;
  /** The rev that a client with this page has reached. */
  readonly reached: number;
  readonly more: boolean;
}

/**
 * The last messages of one room, each as it stands at `end`: all that `sync` tells a client whose cursor is between
 * `start` and `end`. A change of a message may be of any of them, or of one before; then nothing is known but the rev.
 */
export class RoomReplay {
  readonly #size: number;
  #rows: ReplayRow[] = [];
  #start: number;
  #end: number;
  #bytes = 0;
  /** Below it nothing can be had here: what lies there is read for each client alone. */
  floor = 0;

  /** @param size messages that are kept. @param head the rev of the room now. */
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

  /** A message that was sent now. */
  append(rev: number, json: string): void {
    if (rev !== this.#end + 1) return this.clear(rev);
    this.#rows.push({ rev, text: json });
    this.#bytes += json.length;
    this.#end = rev;
    // twice the size before it is cut: cutting moves what is left
    if (this.#rows.length >= this.#size * 2) this.#cut(this.#rows.length - this.#size);
  }

  /** Something happened that the rows do not show. */
  clear(head: number): void {
    this.#rows = [];
    this.#bytes = 0;
    this.#start = this.#end = head;
  }

  /**
   * Puts in front what Postgres has: all rows with revs over `after`, as they are at `head`.
   * @returns false where that is of no use: the tail began anew meanwhile, or there are changes that it has not been told.
   */
  prepend(rows: readonly ReplayRow[], after: number, head: number): boolean {
    if (head < this.#start || head > this.#end) return false;
    const before = rows.filter(({ rev }) => rev <= this.#start);
    this.#rows.unshift(...before);
    for (const { text } of before) this.#bytes += sizeOf(text);
    this.#start = Math.min(this.#start, after);
    return true;
  }

  /** What a client with this cursor lacks. @param bytes from which on no further row is taken; the first one always is. */
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
