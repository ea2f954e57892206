/**
 * The replay buffers of rooms, from which reconnecting clients catch up. Ten thousand clients that were cut off at once cost
 * one read a room, not one a client. The first catch-up of a room makes its buffer, at the room's head. Delivered events
 * extend it at one end, and one read of Postgres at the other; catch-ups that come meanwhile wait for that read.
 *
 * A page reaches up to the last event that was delivered here. The client is on the room, so later events come live.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { RoomEvent } from '../fanout/fanout.ts';
import type { ParsedInput } from '../protocol/commands.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Batcher } from '../storage/batcher.ts';
import type { Head, SyncedRooms } from './catch-up.ts';
import { RoomReplay, type ReplayPage, type ReplayRow } from './room-replay.ts';

/** A wanted range: the rows of the room with revs over `after`. */
export interface Recent {
  readonly room: string;
  readonly after: number;
}

export interface RecentRows {
  readonly rows: readonly ReplayRow[];
  /** The rows are complete after this rev, which is the wanted one or a later one. */
  readonly after: number;
  /** The room's rev in the snapshot of the rows. */
  readonly head: number;
}

export interface ReplayBufferOptions {
  /** Messages that are kept of a room. 0: there are no replay buffers. */
  readonly messages: number;
  /** Bytes over all rooms. Past the limit the least recently used rooms go. */
  readonly maxBytes: number;
  /** The present rows of several rooms. */
  readonly read: (wanted: readonly Recent[]) => Promise<Map<string, RecentRows>>;
  readonly metrics: Metrics;
}

export interface Heads {
  /** The rev up to which the room's events were delivered here. Undefined: deliveries are not reliable now. */
  liveHead(room: string): number | undefined;
}

/** Events whose rows are in Postgres may be on their way for a moment. */
const settleMs = 20;
const tries = 5;
/** At most so many rooms are read in one statement. */
const roomsAtOnce = 32;

/** The viewer of a page, and the most that it may hold. */
export interface PageFor {
  readonly viewer: string;
  readonly limit: number;
  readonly bytes: number;
}

export class ReplayBuffer {
  readonly #options: ReplayBufferOptions;
  /** In order of use: the last one was used last. */
  readonly #rooms = new Map<string, RoomReplay>();
  readonly #reading = new Map<string, Promise<boolean>>();
  readonly #reads: Batcher<Recent, RecentRows | undefined>;
  #bytes = 0;

  constructor(options: ReplayBufferOptions) {
    this.#options = options;
    this.#reads = new Batcher((wanted) => this.#read(wanted), { maxBatch: roomsAtOnce, maxWaiting: Infinity });
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

  /** The room has no connection here any more, so its events are not delivered here. */
  forget(room: string): void {
    const buffered = this.#rooms.get(room);
    if (buffered === undefined) return;
    this.#bytes -= buffered.bytes;
    this.#rooms.delete(room);
  }

  clear(): void {
    for (const room of Array.from(this.#rooms.keys())) this.forget(room);
  }

  /** Resolves when the buffer reaches down to the cursor, or cannot. */
  async reach(room: string, cursor: number, heads: Heads): Promise<void> {
    for (let attempt = 0; attempt < tries; attempt++) {
      const buffered = this.#roomFor(room, cursor, heads);
      if (buffered === undefined || cursor >= buffered.start || cursor < buffered.floor) return;
      // a room has one read at a time; a message that changes meanwhile makes the read useless
      let reading = this.#reading.get(room);
      if (reading === undefined) {
        reading = this.#extend(room, buffered, heads).finally(() => this.#reading.delete(room));
        this.#reading.set(room, reading);
      }
      if (!(await reading)) return;
    }
  }

  /** The rows after the cursor, for a client that is on the room. @returns undefined if the buffer cannot serve the cursor */
  page(room: string, cursor: number, heads: Heads, to: PageFor): ReplayPage | undefined {
    const buffered = this.#roomFor(room, cursor, heads);
    return buffered === undefined || cursor < buffered.start
      ? undefined
      : buffered.page(cursor, to.viewer, to.limit, to.bytes);
  }

  /** The room's buffer at its present head. Undefined: the buffer cannot serve the cursor. */
  #roomFor(room: string, cursor: number, heads: Heads): RoomReplay | undefined {
    const { messages } = this.#options;
    const head = heads.liveHead(room);
    if (messages === 0 || head === undefined || cursor > head || cursor < head - messages) return undefined;
    return this.#roomAt(room, head);
  }

  #roomAt(room: string, head: number): RoomReplay {
    const buffered = this.#rooms.get(room) ?? new RoomReplay(this.#options.messages, head);
    this.#rooms.delete(room);
    this.#rooms.set(room, buffered);
    if (buffered.end !== head) this.#changing(buffered, () => buffered.clear(head));
    return buffered;
  }

  /** @returns whether another attempt can succeed */
  async #extend(room: string, buffered: RoomReplay, heads: Heads): Promise<boolean> {
    const after = Math.max(0, buffered.end - this.#options.messages);
    const recent = await this.#reads.add({ room, after });
    if (recent === undefined) return false;
    for (let waits = 0; ; waits++) {
      const head = heads.liveHead(room);
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

  async #read(wanted: Recent[]): Promise<(RecentRows | undefined)[]> {
    this.#options.metrics.replayReads.inc(wanted.length);
    const found = await this.#options.read(wanted);
    return wanted.map(({ room }) => found.get(room));
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

/** The rooms of a user, as far as the node can serve them without Postgres. */
export interface LiveRooms {
  readonly replay: ReplayBuffer;
  readonly resequencer: Heads;
  readonly subscriptions: {
    /** Whether the user's connections get the room's events from now on. */
    follows(user: string, room: string): boolean;
  };
}

/** The part of a `sync` that the replay buffer serves, and the `rest` to read from Postgres. */
export async function fromReplay(
  user: string,
  input: ParsedInput<'sync'>,
  { replay, resequencer, subscriptions }: LiveRooms,
): Promise<SyncedRooms & { readonly rest: ParsedInput<'sync'> }> {
  const wanted = Object.entries(input.cursors);
  try {
    const followed = wanted.filter(([room]) => subscriptions.follows(user, room));
    await Promise.all(followed.map(([room, cursor]) => replay.reach(room, cursor, resequencer)));
  } catch {
    // rooms without a buffer are left to the statement that follows; its error reaches the client
  }
  const rooms: string[] = [];
  const heads: Head[] = [];
  const cursors: Record<string, number> = {};
  let { limit, bytes } = input;
  let more = false;
  for (const [room, cursor] of wanted) {
    // a full answer still says for each further room whether there is more
    const page = subscriptions.follows(user, room)
      ? replay.page(room, cursor, resequencer, { viewer: user, limit: bytes > 0 ? limit : 0, bytes })
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
