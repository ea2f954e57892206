/**
 * The tails of the rooms that clients come back to: ten thousand that were cut off at once cost one read a room, not one a
 * client. A tail begins at the room's head when the first of them asks, goes on with what is delivered here, and has what
 * lies before read from Postgres, once: whoever asks meanwhile waits for that read.
 *
 * What a client gets reaches to what was delivered here, and it is on the room: what comes after that comes live.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { RoomEvent } from '../fanout/fanout.ts';
import type { ParsedInput } from '../protocol/commands.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Batcher } from '../storage/batcher.ts';
import type { Head, SyncedRooms } from './catch-up.ts';
import { Tail, type TailPage, type TailRow } from './room-replay.ts';

/** Rows that are asked for: those with revs over `after`. */
export interface Recent {
  readonly room: string;
  readonly after: number;
}

export interface RecentRows {
  readonly rows: readonly TailRow[];
  /** Over this rev the rows are whole: the one that was asked for, or a later one. */
  readonly after: number;
  /** The room's rev in the snapshot of the rows. */
  readonly head: number;
}

export interface TailsOptions {
  /** Messages kept of a room; 0: no tails. */
  readonly messages: number;
  /** Over all rooms; the rooms that were longest without a use give theirs up. */
  readonly maxBytes: number;
  /** The rev up to which the room's events were delivered here; undefined: what is delivered is not to be relied on now. */
  readonly head: (room: string) => number | undefined;
  /** Rows as they are now, of some rooms at once. */
  readonly read: (asked: readonly Recent[]) => Promise<Map<string, RecentRows>>;
  readonly metrics: Metrics;
}

/** Events that Postgres has already may be on their way for a moment. */
const settleMs = 20;
const tries = 5;
/** Rooms that are asked for at the same time are read in one statement, so many at most. */
const roomsAtOnce = 32;

export class Tails {
  readonly #options: TailsOptions;
  /** Those used last stand last. */
  readonly #tails = new Map<string, Tail>();
  readonly #reading = new Map<string, Promise<boolean>>();
  readonly #reads: Batcher<Recent, RecentRows | undefined>;
  #bytes = 0;

  constructor(options: TailsOptions) {
    this.#options = options;
    this.#reads = new Batcher((asked) => this.#read(asked), { maxBatch: roomsAtOnce, maxWaiting: Infinity });
    options.metrics.watchTails({ rooms: () => this.#tails.size, bytes: () => this.#bytes });
  }

  /** An event with a rev went out in the room. */
  delivered({ room, event, rev, json }: RoomEvent): void {
    if (this.#tails.size === 0 || rev === undefined) return;
    const tail = this.#tails.get(room);
    if (tail === undefined) return;
    this.#changing(tail, () => (event === 'message' ? tail.append(rev, json) : tail.clear(rev)));
    this.#evict();
  }

  /** Nobody is in the room any more: its events are not delivered here. */
  forget(room: string): void {
    const tail = this.#tails.get(room);
    if (tail === undefined) return;
    this.#bytes -= tail.bytes;
    this.#tails.delete(room);
  }

  clear(): void {
    for (const room of Array.from(this.#tails.keys())) this.forget(room);
  }

  /** Resolves when the tail reaches down to the cursor, or will not. */
  async reach(room: string, cursor: number): Promise<void> {
    for (let attempt = 0; attempt < tries; attempt++) {
      const tail = this.#tailFor(room, cursor);
      if (tail === undefined || cursor >= tail.start || cursor < tail.floor) return;
      // one read at once for a room; it is in vain when a message is changed meanwhile
      let reading = this.#reading.get(room);
      if (reading === undefined) {
        reading = this.#extend(room, tail).finally(() => this.#reading.delete(room));
        this.#reading.set(room, reading);
      }
      if (!(await reading)) return;
    }
  }

  /** What a client lacks that is on the room now. @returns undefined: not to be had here, ask Postgres. */
  page(room: string, cursor: number, viewer: string, limit: number, bytes: number): TailPage | undefined {
    const tail = this.#tailFor(room, cursor);
    return tail === undefined || cursor < tail.start ? undefined : tail.page(cursor, viewer, limit, bytes);
  }

  /** As it is now; undefined for a cursor that it cannot serve. */
  #tailFor(room: string, cursor: number): Tail | undefined {
    const { messages, head: headOf } = this.#options;
    const head = headOf(room);
    if (messages === 0 || head === undefined || cursor > head || cursor < head - messages) return undefined;
    return this.#tailAt(room, head);
  }

  #tailAt(room: string, head: number): Tail {
    const standing = this.#tails.get(room);
    const tail = standing ?? new Tail(this.#options.messages, head);
    this.#tails.delete(room);
    this.#tails.set(room, tail);
    if (tail.end !== head) this.#changing(tail, () => tail.clear(head));
    return tail;
  }

  /** @returns whether it is worth another look. */
  async #extend(room: string, tail: Tail): Promise<boolean> {
    const after = Math.max(0, tail.end - this.#options.messages);
    const recent = await this.#reads.add({ room, after });
    if (recent === undefined) return false;
    for (let waits = 0; ; waits++) {
      const head = this.#options.head(room);
      if (head === undefined || this.#tails.get(room) !== tail) return false;
      if (tail.end !== head) this.#changing(tail, () => tail.clear(head));
      if (recent.head <= head) break;
      if (waits === tries) return false;
      await delay(settleMs);
    }
    if (recent.after > after) tail.floor = recent.after;
    this.#changing(tail, () => tail.prepend(recent.rows, recent.after, recent.head));
    this.#evict();
    return true;
  }

  async #read(asked: Recent[]): Promise<(RecentRows | undefined)[]> {
    this.#options.metrics.tailReads.inc(asked.length);
    const found = await this.#options.read(asked);
    return asked.map(({ room }) => found.get(room));
  }

  #changing(tail: Tail, change: () => void): void {
    const before = tail.bytes;
    change();
    this.#bytes += tail.bytes - before;
  }

  #evict(): void {
    if (this.#bytes <= this.#options.maxBytes) return;
    for (const room of this.#tails.keys()) {
      this.forget(room);
      if (this.#bytes <= this.#options.maxBytes) return;
    }
  }
}

/** What of a `sync` the tails have, and what is left to ask Postgres for. */
export async function fromTails(
  user: string,
  input: ParsedInput<'sync'>,
  tails: Tails,
  sees: (room: string) => boolean,
): Promise<SyncedRooms & { readonly rest: ParsedInput<'sync'> }> {
  const asked = Object.entries(input.cursors);
  try {
    await Promise.all(asked.filter(([room]) => sees(room)).map(([room, cursor]) => tails.reach(room, cursor)));
  } catch {
    // the tails that could not be read are left to the statement that follows, which tells why it fails
  }
  const rooms: string[] = [];
  const heads: Head[] = [];
  const cursors: Record<string, number> = {};
  let { limit, bytes } = input;
  let more = false;
  for (const [room, cursor] of asked) {
    // when the answer is full, what is left of it is told
    const page = sees(room) ? tails.page(room, cursor, user, bytes > 0 ? limit : 0, bytes) : undefined;
    if (page === undefined) {
      cursors[room] = cursor;
      continue;
    }
    rooms.push(`"${room}":{"messages":[${page.texts.join(',')}],"rev":${page.reached},"more":${page.more}}`);
    limit -= page.texts.length;
    bytes = Math.max(0, bytes - page.bytes);
    more ||= page.more;
    if (!page.more) heads.push({ id: room, rev: page.reached });
  }
  return { rooms, more, heads, rest: { cursors, limit: bytes > 0 ? limit : 0, bytes } };
}
