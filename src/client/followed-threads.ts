/** The threads that a user follows, with what they have not read of each; of the entry `parley/threads`. */
import type { EventData } from '../protocol/events.ts';
import { clientLimits as limits } from '../protocol/client-limits.ts';
import type { Message, Thread as Standing } from '../protocol/model.ts';
import type { Client } from './client.ts';
import { Cell } from './readable.ts';
import type { Readable } from './readable.ts';

export interface FollowedThread {
  readonly room: string;
  /** The seq of its root. */
  readonly root: number;
  readonly message: Message | null;
  readonly thread: Standing;
  readonly read: number;
  /** Replies after `read`, at most 100. */
  readonly unread: number;
}

/** As many threads as may be followed. */
const maxPages = limits.followedThreads / limits.pageSize;
/** Replies come in crowds; what one event does not tell is asked for once. */
const gatherMs = 500;

export class FollowedThreads {
  readonly #client: Client;
  readonly #entries = new Cell<readonly FollowedThread[]>([]);
  readonly #stops: readonly (() => void)[];
  #asked = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Made by `followedThreads()`. */
  constructor(client: Client) {
    this.#client = client;
    this.#stops = [
      client.on('ready', () => this.#load()),
      client.on('thread', (told) => this.#told(told)),
      client.on('message', (message) => this.#message(message)),
      client.on('message:deleted', ({ room, thread }) => this.#stands(room, thread)),
    ];
    if (client.state.value.status === 'connected') this.#load();
  }

  /** Those that have replies, that of the last reply first, as the server listed them. */
  get entries(): Readable<readonly FollowedThread[]> {
    return this.#entries;
  }

  get(room: string, root: number): FollowedThread | undefined {
    return this.#entries.value.find((one) => one.room === room && one.root === root);
  }

  close(): void {
    this.#asked += 1;
    clearTimeout(this.#timer);
    for (const stop of this.#stops) stop();
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => this.#load(), gatherMs);
  }

  #load(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const asked = (this.#asked += 1);
    this.#pages().then(
      (entries) => asked === this.#asked && this.#entries.set(entries),
      // The next connection, or the next event of a thread, asks again.
      () => undefined,
    );
  }

  async #pages(): Promise<readonly FollowedThread[]> {
    const found: FollowedThread[] = [];
    let before: string | null = null;
    for (let page = 0; page < maxPages; page += 1) {
      const limit = limits.pageSize;
      const answer = await this.#page(before === null ? { limit } : { limit, before });
      for (const { room, root: message, thread, read, unread } of answer.threads)
        found.push({ room, root: thread.root, message, thread, read, unread });
      before = answer.before;
      if (!answer.more || before === null) break;
    }
    return found;
  }

  #page(input: { limit: number; before?: string }) {
    return this.#client.call('thread:list', input);
  }

  #told({ room, root, following, read }: EventData<'thread'>): void {
    const held = this.get(room, root);
    if (!following) this.#entries.set(this.#entries.value.filter((one) => one !== held));
    // Followed just now, or read in part: how much is unread the server knows.
    else if (held === undefined || read > held.read) this.#soon();
  }

  #message({ room, seq, from, thread }: Message): void {
    if (thread === undefined || thread.root === seq) return;
    const held = this.get(room, thread.root);
    const mine = from === this.#client.user.value?.id;
    if (held !== undefined && thread.rev <= held.thread.rev) return;
    if (held === undefined) {
      // Who answers follows by that, and so does who is answered for the first time.
      if (mine || thread.replies === 1) this.#soon();
    } else if (mine) this.#replace(held, { ...held, thread, read: seq, unread: 0 });
    else if (seq > held.read)
      this.#replace(held, { ...held, thread, unread: Math.min(limits.threadUnread, held.unread + 1) });
  }

  #stands(room: string, thread: Standing | undefined): void {
    const held = thread && this.get(room, thread.root);
    if (held === undefined || thread === undefined) return;
    this.#replace(held, { ...held, thread });
    if (held.unread > 0) this.#soon();
  }

  #replace(before: FollowedThread, after: FollowedThread): void {
    this.#entries.set(this.#entries.value.map((one) => (one === before ? after : one)));
  }
}
