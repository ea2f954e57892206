/** The threads that a user follows, with the number of unread replies of each. Part of the entry `parley/threads`. */
import type { EventData } from '../protocol/events.ts';
import { clientLimits as limits } from '../protocol/client-limits.ts';
import type { Message, Thread as ThreadSummary } from '../protocol/model.ts';
import type { Client } from './client.ts';
import { Cell } from './readable.ts';
import type { Readable } from './readable.ts';
import { Refresh } from './refresh.ts';

export interface FollowedThread {
  readonly room: string;
  /** The seq of its root. */
  readonly root: number;
  readonly message: Message | null;
  readonly thread: ThreadSummary;
  readonly read: number;
  /** Replies after `read`, at most 100. */
  readonly unread: number;
}

/** The number of pages that hold all threads a user may follow. */
const maxPages = limits.followedThreads / limits.pageSize;
/** Replies come in bursts; the list is requested once for all of them. */
const gatherMs = 500;

export class FollowedThreads {
  readonly #client: Client;
  readonly #entries = new Cell<readonly FollowedThread[]>([]);
  readonly #stops: readonly (() => void)[];
  readonly #refresh = new Refresh(
    gatherMs,
    () => this.#pages(),
    (entries) => this.#entries.set(entries),
  );

  /** Made by `followedThreads()`. */
  constructor(client: Client) {
    this.#client = client;
    this.#stops = [
      client.on('ready', () => this.#refresh.now()),
      client.on('thread', (event) => this.#changed(event)),
      client.on('message', (message) => this.#message(message)),
      client.on('message:deleted', ({ room, thread }) => this.#rootChanged(room, thread)),
    ];
    if (client.state.value.status === 'connected') this.#refresh.now();
  }

  /** The threads that have replies, in the order of the server: the thread with the latest reply first. */
  get entries(): Readable<readonly FollowedThread[]> {
    return this.#entries;
  }

  get(room: string, root: number): FollowedThread | undefined {
    return this.#entries.value.find((one) => one.room === room && one.root === root);
  }

  close(): void {
    this.#refresh.close();
    for (const stop of this.#stops) stop();
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

  #changed({ room, root, following, read }: EventData<'thread'>): void {
    const held = this.get(room, root);
    if (!following) this.#entries.set(this.#entries.value.filter((one) => one !== held));
    // The thread is followed since now, or was read in part: only the server knows the number of unread replies.
    else if (held === undefined || read > held.read) this.#refresh.soon();
  }

  #message({ room, seq, from, thread }: Message): void {
    if (thread === undefined || thread.root === seq) return;
    const held = this.get(room, thread.root);
    const mine = from === this.#client.user.value?.id;
    if (held !== undefined && thread.rev <= held.thread.rev) return;
    if (held === undefined) {
      // A user follows a thread by replying to it. The author of its root follows it with the first reply.
      if (mine || thread.replies === 1) this.#refresh.soon();
    } else if (mine) this.#replace(held, { ...held, thread, read: seq, unread: 0 });
    else if (seq > held.read)
      this.#replace(held, { ...held, thread, unread: Math.min(limits.threadUnread, held.unread + 1) });
  }

  #rootChanged(room: string, thread: ThreadSummary | undefined): void {
    const held = thread && this.get(room, thread.root);
    if (held === undefined || thread === undefined) return;
    this.#replace(held, { ...held, thread });
    if (held.unread > 0) this.#refresh.soon();
  }

  #replace(before: FollowedThread, after: FollowedThread): void {
    this.#entries.set(this.#entries.value.map((one) => (one === before ? after : one)));
    this.#refresh.changed();
  }
}
