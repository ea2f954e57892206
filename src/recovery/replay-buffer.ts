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
import { RoomReplay, type ReplayPage, type ReplayRow } from './room-replay.ts';

/** Rows that are asked for: those with revs over `after`. */
export interface Recent {
  readonly room: string;
  readonly after: number;
}

export interface RecentRows {
  readonly rows: readonly ReplayRow[];
  /** Over this rev the rows are whole: the one that was asked for, or a later one. */
  readonly after: number;
  /** The room's rev in the snapshot of the rows. */
  readonly head: number;
}

export interface ReplayBufferOptions {
  /** Messages kept of a room; 0: no tails. */
  readonly messages: number;
  /** Over all rooms; the rooms that were longest without a use give theirs up. */
  readonly maxBytes: number;
  /** Rows as they are now, of some rooms at once. */
  readonly read: (asked: readonly Recent[]) => Promise<Map<string, RecentRows>>;
  readonly metrics: Metrics;
}

/** The rev up to which the room's events were delivered here; undefined: what is delivered is not to be relied on now. */
export type HeadOf = (room: string) => number | undefined;

/** Events that Postgres has already may be on their way for a moment. */
const settleMs = 20;
const tries = 5;
/** Rooms that are asked for at the same time are read in one statement, so many at most. */
const roomsAtOnce = 32;

/** Who reads the page, and how much of it there may be. */
export interface PageFor {
  readonly viewer: string;
  readonly limit: number;
  readonly bytes: number;
}

export class ReplayBuffer {
  readonly #options: ReplayBufferOptions;
  /** Those used last stand last. */
  readonly #rooms = new Map<string, RoomReplay>();
  readonly #reading = new Map<string, Promise<boolean>>();
  readonly #reads: Batcher<Recent, RecentRows | undefined>;
  #bytes = 0;

  constructor(options: ReplayBufferOptions) {
    this.#options = options;
    this.#reads = new Batcher((asked) => this.#read(asked), { maxBatch: roomsAtOnce, maxWaiting: Infinity });
    options.metrics.watchReplay({ rooms: () => this.#rooms.size, bytes: () => this.#bytes });
  }

  /** An event with a rev went out in the room. */
  delivered({ room, event, rev, json }: RoomEvent): void {
    if (this.#rooms.size === 0 || rev === undefined) return;
    const buffered = this.#rooms.get(room);
    if (buffered === undefined) return;
    this.#changing(buffered, () => (event === 'message' ? buffered.append(rev, json) : buffered.clear(rev)));
    this.#evict();
  }

  /** Nobody is in the room any more: its events are not delivered here. */
  forget(room: string): void {
    const buffered = this.#rooms.get(room);
    if (buffered === undefined) return;
    this.#bytes -= buffered.bytes;
    this.#rooms.delete(room);
  }

  clear(): void {
    for (const room of Array.from(this.#rooms.keys())) this.forget(room);
  }

  /** Resolves when the tail reaches down to the cursor, or will not. */
  async reach(room: string, cursor: number, headOf: HeadOf): Promise<void> {
    for (let attempt = 0; attempt < tries; attempt++) {
      const buffered = this.#roomFor(room, cursor, headOf);
      if (buffered === undefined || cursor >= buffered.start || cursor < buffered.floor) return;
      // one read at once for a room; it is in vain when a message is changed meanwhile
      let reading = this.#reading.get(room);
      if (reading === undefined) {
        reading = this.#extend(room, buffered, headOf).finally(() => this.#reading.delete(room));
        this.#reading.set(room, reading);
      }
      if (!(await reading)) return;
    }
  }

  /** What a client lacks that is on the room now. @returns undefined: not to be had here, ask Postgres. */
  page(room: string, cursor: number, headOf: HeadOf, to: PageFor): ReplayPage | undefined {
    const buffered = this.#roomFor(room, cursor, headOf);
    return buffered === undefined || cursor < buffered.start
      ? undefined
      : buffered.page(cursor, to.viewer, to.limit, to.bytes);
  }

  /** As it is now; undefined for a cursor that it cannot serve. */
  #roomFor(room: string, cursor: number, headOf: HeadOf): RoomReplay | undefined {
    const { messages } = this.#options;
    const head = headOf(room);
    if (messages === 0 || head === undefined || cursor > head || cursor < head - messages) return undefined;
    return this.#roomAt(room, head);
  }

  #roomAt(room: string, head: number): RoomReplay {
    const standing = this.#rooms.get(room);
    const buffered = standing ?? new RoomReplay(this.#options.messages, head);
    this.#rooms.delete(room);
    this.#rooms.set(room, buffered);
    if (buffered.end !== head) this.#changing(buffered, () => buffered.clear(head));
    return buffered;
  }

  /** @returns whether it is worth another look. */
  async #extend(room: string, buffered: RoomReplay, headOf: HeadOf): Promise<boolean> {
    const after = Math.max(0, buffered.end - this.#options.messages);
    const recent = await this.#reads.add({ room, after });
    if (recent === undefined) return false;
    for (let waits = 0; ; waits++) {
      const head = headOf(room);
      if (head === undefined || this.#rooms.get(room) !== buffered) return false;
      if (buffered.end !== head) this.#changing(buffered, () => buffered.clear(head));
      if (recent.head <= head) break;
      if (waits === tries) return false;
      await delay(settleMs);
    }
    if (recent.after > after) buffered.floor = recent.after;
    this.#changing(buffered, () => buffered.prepend(recent.rows, recent.after, recent.head));
    this.#evict();
    return true;
  }

  async #read(asked: Recent[]): Promise<(RecentRows | undefined)[]> {
    this.#options.metrics.replayReads.inc(asked.length);
    const found = await this.#options.read(asked);
    return asked.map(({ room }) => found.get(room));
  }

  #changing(buffered: RoomReplay, change: () => void): void {
    const before = buffered.bytes;
    change();
    this.#bytes += buffered.bytes - before;
  }

  #evict(): void {
    if (this.#bytes <= this.#options.maxBytes) return;
    for (const room of this.#rooms.keys()) {
      this.forget(room);
      if (this.#bytes <= this.#options.maxBytes) return;
    }
  }
}

/** What a node has of the rooms of a connection without Postgres. */
export interface LiveRooms {
  readonly replay: ReplayBuffer;
  readonly headOf: HeadOf;
  /** Whether the connection gets what comes in the room from now on. */
  readonly sees: (room: string) => boolean;
}

/** What of a `sync` the replay buffer has, and what is left to read from Postgres. */
export async function fromReplay(
  user: string,
  input: ParsedInput<'sync'>,
  { replay, headOf, sees }: LiveRooms,
): Promise<SyncedRooms & { readonly rest: ParsedInput<'sync'> }> {
  const asked = Object.entries(input.cursors);
  try {
    await Promise.all(asked.filter(([room]) => sees(room)).map(([room, cursor]) => replay.reach(room, cursor, headOf)));
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
    const page = sees(room)
      ? replay.page(room, cursor, headOf, { viewer: user, limit: bytes > 0 ? limit : 0, bytes })
      : undefined;
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
