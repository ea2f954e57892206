/**
 * One thread of a room: its root and its replies, in order, live and without a gap. Part of the package's entry
 * `parley/threads`, because not every client shows threads.
 *
 * A thread merges the room's events by rev, as the room does, but keeps only the replies and the root. The room notices
 * missed events. When the room's cursor is ahead of the thread's, the thread pulls the same revs.
 */
import type { ParleyError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import type { Message } from '../protocol/model.ts';
import { delayBefore, resendBackoff } from './backoff.ts';
import type { Client } from './client.ts';
import { asParleyError } from './failure.ts';
import { deletedChange, mergeLive, mergeOlder, messageChange, reactionChange, threadIn, upsert } from './merge.ts';
import type { Change, Timeline } from './merge.ts';
import type { Outgoing, SendOptions, SendResult } from './outbox.ts';
import { ReadMark } from './read-mark.ts';
import { Cell } from './readable.ts';
import type { Readable } from './readable.ts';
import type { Room } from './room.ts';

export interface ThreadState {
  /** As in the state of a room. */
  readonly status: 'loading' | 'ready' | 'gone' | 'closed';
  /** The reason for `gone`. */
  readonly error?: ParleyError;
  /** The first message; undefined while the thread loads, and after it has expired. */
  readonly root?: Message;
  /** The replies: a run without a gap, by seq, up to the newest. */
  readonly messages: readonly Message[];
  /** This user's replies that are not among `messages` yet. */
  readonly outgoing: readonly Outgoing[];
  readonly hasOlder: boolean;
  readonly loadingOlder: boolean;
}

const pageSize = 50;
/** With more missing revs the thread starts over from its newest page. */
const maxCatchUp = 1000;
/**
 * Events kept during the read of a page or the closing of a gap. Past this number they are dropped, and a pull brings
 * their changes.
 */
const maxWaiting = 500;
const blank: ThreadState = { status: 'loading', messages: [], outgoing: [], hasOlder: false, loadingOlder: false };

export class Thread {
  readonly room: Room;
  /** The seq of its root. */
  readonly root: number;
  readonly #client: Client;
  readonly #state = new Cell<ThreadState>(blank);
  readonly #readMark: ReadMark;
  readonly #stops: readonly (() => void)[];
  /** The root, if it exists, and the replies. */
  #timeline: Timeline = { messages: [], cursor: 0 };
  #live: readonly Change[] = [];
  #changesMeanwhile: Change[] | undefined;
  /** The room's epoch at the time of the load. */
  #epoch: string | undefined;
  /** The number of reloads; answers from before the last one are dropped. */
  #life = 0;
  #pulling = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Made by `openThread()`. */
  constructor(client: Client, room: string, root: number) {
    this.#client = client;
    this.root = root;
    this.room = client.room(room);
    this.#readMark = new ReadMark((seq) => client.call('thread:read', { room, root, seq }));
    const receive = (of: string, change: () => Change): void => {
      if (of === room) this.#received(change());
    };
    this.#stops = [
      client.on('message', (message) => receive(message.room, () => messageChange(message))),
      client.on('message:updated', (message) => receive(message.room, () => messageChange(message))),
      client.on('message:deleted', (deleted) => receive(deleted.room, () => deletedChange(deleted))),
      client.on('reaction', (event) => receive(event.room, () => reactionChange(event, client.user.value?.id))),
      client.on('thread', (event) => this.#readElsewhere(event)),
      client.on('ready', () => void this.#readMark.flush()),
      // After the turn, because the room gets an event before the thread does.
      this.room.state.subscribe(() => queueMicrotask(() => this.#follow())),
    ];
    void this.#load(this.#life);
    this.#follow();
  }

  get state(): Readable<ThreadState> {
    return this.#state;
  }

  /** The rev of the room up to which the thread is complete. */
  get cursor(): number {
    return this.#timeline.cursor;
  }

  /** Sends a reply, like `send` of the room. @param options `replyTo`: a message of the thread other than its root */
  send(body: unknown, options: SendOptions = {}): Promise<SendResult> {
    return this.room.send(body, { replyTo: this.root, ...options });
  }

  /** Loads the page in front of the first reply. */
  async loadOlder(): Promise<void> {
    const { status, hasOlder, loadingOlder } = this.#state.value;
    const [first] = this.#replies;
    if (status !== 'ready' || !hasOlder || loadingOlder || first === undefined) return;
    const life = this.#life;
    this.#changesMeanwhile = [];
    this.#patch({ loadingOlder: true });
    try {
      const { messages, more } = await this.#client.call('thread:history', {
        room: this.room.id,
        root: this.root,
        before: first.seq,
        limit: pageSize,
      });
      const changes = this.#changesMeanwhile ?? [];
      if (life !== this.#life || changes.length >= maxWaiting) return;
      const { cursor } = this.#timeline;
      const older = mergeOlder({ messages: this.#replies, cursor }, messages, changes.filter(this.#isOurs));
      this.#timeline = { messages: [...this.#heads, ...older.messages], cursor };
      this.#patch({ hasOlder: more });
      this.#show();
    } finally {
      if (life === this.#life) {
        this.#changesMeanwhile = undefined;
        this.#patch({ loadingOlder: false });
      }
    }
  }

  /**
   * Marks the replies up to `seq` (default: the newest) as read; this has an effect only for followers of the thread.
   */
  markRead(seq = this.#replies.at(-1)?.seq ?? 0): void {
    this.#readMark.move(seq);
  }

  async follow(): Promise<void> {
    await this.#client.call('thread:follow', { room: this.room.id, root: this.root });
  }

  async unfollow(): Promise<void> {
    await this.#client.call('thread:unfollow', { room: this.room.id, root: this.root });
  }

  /** Closes the thread. The room stays open. */
  close(): void {
    this.#life += 1;
    for (const stop of this.#stops) stop();
    clearTimeout(this.#timer);
    void this.#readMark.flush();
    this.#patch({ status: 'closed' });
  }

  get #heads(): readonly Message[] {
    return this.#timeline.messages.filter(({ seq }) => seq === this.root);
  }

  get #replies(): readonly Message[] {
    return this.#timeline.messages.filter(({ seq }) => seq !== this.root);
  }

  /** Whether a change may belong to the thread. A change of an unknown message without its content does no harm. */
  readonly #isOurs = (change: Change): boolean =>
    change.kind !== 'message' || change.seq === this.root || change.message.thread?.root === this.root;

  /** A change in front of the loaded replies, or of another thread, counts only for its rev and its thread state. */
  #own(change: Change): Change {
    const first = this.#replies[0]?.seq ?? (this.#state.value.hasOlder ? Infinity : 0);
    if (change.seq === this.root || (change.seq >= first && this.#isOurs(change))) return change;
    return { kind: 'deleted', seq: 0, rev: change.rev, at: 0, thread: threadIn(change) };
  }

  #readElsewhere({ room, root, following, read }: EventData<'thread'>): void {
    if (following && room === this.room.id && root === this.root) this.#readMark.confirmed(read);
  }

  #received(change: Change): void {
    if ((this.#changesMeanwhile?.length ?? maxWaiting) < maxWaiting) this.#changesMeanwhile?.push(change);
    // The room's cursor shows that events were dropped.
    this.#live = this.#live.length >= maxWaiting ? [] : [...this.#live, change];
    if (this.#state.value.status === 'ready' && !this.#pulling) this.#mergeLive();
  }

  #mergeLive(): void {
    const { timeline, waiting } = mergeLive(
      this.#timeline,
      this.#live.map((change) => this.#own(change)),
    );
    const revs = new Set(waiting.map(({ rev }) => rev));
    this.#live = this.#live.filter(({ rev }) => revs.has(rev));
    this.#timeline = timeline;
    this.#show();
  }

  /** The room has changed: it is gone, or is ahead of the thread. */
  #follow(): void {
    const { status } = this.#state.value;
    const { status: ofRoom, error } = this.room.state.value;
    if (status === 'gone' || status === 'closed') return;
    if (ofRoom === 'closed') return this.close();
    if (ofRoom === 'gone' && error !== undefined) return this.#gone(error);
    this.#show();
    if (status !== 'ready' || ofRoom !== 'ready') return;
    const { epoch } = this.room;
    if ((this.#epoch ??= epoch) !== epoch) {
      this.#epoch = epoch;
      this.#live = [];
      this.#readMark.reset(0);
      this.#reload();
    } else if (this.room.cursor > this.#timeline.cursor) void this.#pull();
  }

  async #pull(failures = 0): Promise<void> {
    if (this.#pulling) return;
    this.#pulling = true;
    const life = this.#life;
    const room = this.room.id;
    try {
      while (life === this.#life && this.room.cursor > this.#timeline.cursor) {
        const { cursor } = this.#timeline;
        if (this.room.cursor - cursor > maxCatchUp) return this.#reload();
        const page = (await this.#client.call('sync', { cursors: { [room]: cursor } })).rooms[room];
        if (life !== this.#life) return;
        if (page === undefined || page.reset === true || page.rev <= cursor) return this.#reload();
        const changes = page.messages.map(messageChange).map((change) => this.#own(change));
        this.#timeline = { messages: upsert(this.#timeline.messages, changes), cursor: Math.max(cursor, page.rev) };
      }
    } catch (thrown) {
      if (life === this.#life) this.#again(asParleyError(thrown), failures, () => this.#pull(failures + 1));
    } finally {
      if (life === this.#life) {
        this.#pulling = false;
        this.#mergeLive();
      }
    }
  }

  #reload(): void {
    this.#life += 1;
    this.#pulling = false;
    this.#changesMeanwhile = undefined;
    this.#patch({ status: 'loading', hasOlder: false, loadingOlder: false });
    void this.#load(this.#life);
  }

  async #load(life: number, failures = 0): Promise<void> {
    try {
      const input = { room: this.room.id, root: this.root, limit: pageSize };
      const { root, messages, more, rev } = await this.#client.call('thread:history', input);
      if (life !== this.#life) return;
      this.#timeline = { messages: root === null ? messages : [root, ...messages], cursor: rev };
      this.#patch({ status: 'ready', hasOlder: more });
      this.#mergeLive();
      this.#follow();
    } catch (thrown) {
      if (life === this.#life) this.#again(asParleyError(thrown), failures, () => this.#load(life, failures + 1));
    }
  }

  #again(error: ParleyError, failures: number, work: () => Promise<void>): void {
    if (!error.retryable) return this.#gone(error);
    const life = this.#life;
    clearTimeout(this.#timer);
    const delay = delayBefore(failures, resendBackoff, error.retryAfter);
    this.#timer = setTimeout(() => life === this.#life && void work(), delay);
  }

  #gone(error: ParleyError): void {
    this.#life += 1;
    this.#patch({ status: 'gone', error });
  }

  #show(): void {
    const { root: shown, messages: before, outgoing: waited, status } = this.#state.value;
    const loaded = status === 'ready' && !this.#pulling;
    const messages = loaded && !sameItems(this.#replies, before) ? this.#replies : before;
    const root = loaded ? this.#heads[0] : shown;
    const held = new Set(messages.map(({ id }) => id));
    const seqs = new Set([this.root, ...messages.map(({ seq }) => seq)]);
    const ours = this.room.state.value.outgoing.filter(
      ({ input }) => input.replyTo !== undefined && seqs.has(input.replyTo) && !held.has(input.id),
    );
    const outgoing = sameItems(ours, waited) ? waited : ours;
    if (messages !== before || root !== shown || outgoing !== waited)
      this.#patch({ messages, outgoing, ...(root !== undefined && { root }) });
  }

  #patch(change: Partial<ThreadState>): void {
    this.#state.set({ ...this.#state.value, ...change });
  }
}

function sameItems<T>(some: readonly T[], others: readonly T[]): boolean {
  return some.length === others.length && some.every((one, at) => one === others[at]);
}
