/**
 * One open room: its messages, kept complete and in order while the connection comes and goes.
 *
 * loading ── history, or the stored state ──▶ ready ── removed, left ──▶ gone
 *    └── not found, not a member ──▶ gone         gone ── joined again ──▶ loading
 * any ── released, client closed ──▶ closed
 *
 * The connection subscribes before the history is read. Events that arrive in between wait in `#live` and are merged by
 * rev. A `sync` from the cursor closes a gap.
 */
import { ParleyError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import { clientLimits as limits } from '../protocol/client-limits.ts';
import type { Member, PresenceState } from '../protocol/model.ts';
import { snapshotMessages } from './archive.ts';
import { delayBefore, resendBackoff } from './backoff.ts';
import type { Syncable, SyncPage } from './catch-up.ts';
import { asParleyError } from './failure.ts';
import { Members } from './members.ts';
import { mergeLive, mergeOlder, mergeStored, messageChange } from './merge.ts';
import type { Change, Timeline } from './merge.ts';
import { messageStream } from './message-stream.ts';
import type { MessageStream } from './message-stream.ts';
import type { SendOptions, SendResult } from './outbox.ts';
import { ReadMark } from './read-mark.ts';
import { Cell } from './readable.ts';
import type { Readable } from './readable.ts';
import { blankRoom } from './room-state.ts';
import type { RoomServices, RoomState } from './room-state.ts';
import { Typing, typingSignal } from './typing.ts';

const historyPage = 50;
/** Live events kept during a `sync`. Past this number they are dropped, and the `sync` brings their changes. */
const maxWaiting = 500;
/** With more missing messages the room starts over from its newest page. */
const maxCatchUp = 1000;
/** The number of messages in memory. The oldest are dropped; `loadOlder` brings them back. */
const maxHeld = 5000;
const keptHeld = 4000;
const saveAfterMs = 1000;
/** The time limit for the event of a command after its ack. */
export const eventWithinMs = 1000;
export class Room implements Syncable {
  readonly id: string;
  /** The messages: in order, live, without a gap. */
  readonly messages: MessageStream;
  readonly #services: RoomServices;
  readonly #state = new Cell<RoomState>(blankRoom);
  readonly #typing: Typing;
  readonly #readMark: ReadMark;
  /** The epoch of `#timeline`. */
  #epoch: string | undefined;
  #timeline: Timeline = { messages: [], cursor: 0 };
  #live: readonly Change[] = [];
  /** Live events were dropped: a `sync` brings their changes. */
  #overflowed = false;
  /** Between two pages of a `sync` the list may have holes and is not shown. */
  #partial = false;
  /** Changes during the read of an older page, for the messages of that page. */
  #changesMeanwhile: Change[] | undefined;
  /** The number of reloads; answers from before the last one are dropped. */
  #life = 0;
  #loadTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #members: Members;
  /** The stored state of the room was read. */
  #restored = false;
  #saveTimer: ReturnType<typeof setTimeout> | undefined;

  /** Made by `Client.room()`. */
  constructor(id: string, services: RoomServices) {
    this.id = id;
    this.#services = services;
    this.#readMark = new ReadMark((seq) => services.request('read', { room: id, seq }));
    this.#typing = new Typing(
      // Signals are lost while the client is offline.
      (on) => void services.request('signal', { room: id, name: typingSignal, data: { on } }).catch(() => undefined),
      (typing) => this.#patch({ typing }),
    );
    this.#members = new Members(services.members, services.presence);
    this.messages = messageStream(this.#state, async (after) => {
      const page = await services.call('history', { room: id, after, limit: limits.pageSize });
      return page.messages;
    });
    this.outboxChanged();
  }

  /** The members, at most the first thousand; loaded and updated while there is a listener. */
  get members(): Readable<readonly Member[]> {
    return this.#members.list;
  }

  /** The known presence of the first 200 members; updated while there is a listener. */
  get presence(): Readable<ReadonlyMap<string, PresenceState>> {
    return this.#members.presence;
  }

  get state(): Readable<RoomState> {
    return this.#state;
  }

  get epoch(): string | undefined {
    return this.#epoch;
  }

  get cursor(): number {
    return this.#timeline.cursor;
  }

  /**
   * Queues a message. The message is in `state.outgoing` at once and is sent when there is a connection.
   *
   * @param body any JSON but null, at most 16 KiB
   * @returns resolves when the server has stored the message; rejects with the error that made it `failed`
   */
  send(body: unknown, options?: SendOptions): Promise<SendResult> {
    this.#typing.mineEnded(true);
    return this.#services.outbox.send(this.id, body, options);
  }

  /**
   * Replaces the body of a message. Like the next three methods, it waits for the connection and rejects with an error
   * of the catalogue. The list changes when the event comes. Repeating the call after a lost connection does no harm.
   */
  async edit(seq: number, body: unknown): Promise<void> {
    this.#expect(await this.#services.call('message:edit', { room: this.id, seq, body }));
  }

  async delete(seq: number): Promise<void> {
    this.#expect(await this.#services.call('message:delete', { room: this.id, seq }));
  }

  /** @param emoji a single one */
  async react(seq: number, emoji: string): Promise<void> {
    this.#expect(await this.#services.call('reaction:add', { room: this.id, seq, emoji }));
  }

  async unreact(seq: number, emoji: string): Promise<void> {
    this.#expect(await this.#services.call('reaction:remove', { room: this.id, seq, emoji }));
  }

  /** The event of an acknowledged command is on its way. A lost event is noticed here. */
  #expect({ rev }: { rev: number }): void {
    setTimeout(() => this.acknowledged(rev), eventWithinMs);
  }

  retry(id: string): void {
    this.#services.outbox.retry(id);
  }

  discard(id: string): void {
    this.#services.outbox.discard(id);
  }

  /**
   * Loads the page of history in front of the first message. Does nothing during a load, or at the start of the room.
   */
  async loadOlder(): Promise<void> {
    const { status, hasOlder, loadingOlder } = this.#state.value;
    const first = this.#timeline.messages[0];
    if (status !== 'ready' || !hasOlder || loadingOlder || first === undefined) return;
    const life = this.#life;
    this.#changesMeanwhile = [];
    this.#patch({ loadingOlder: true });
    try {
      const page = await this.#services.request('history', { room: this.id, before: first.seq, limit: historyPage });
      const changes = this.#changesMeanwhile ?? [];
      // Some changes were dropped, so the page may be out of date. The next call loads it again.
      if (life !== this.#life || changes.length >= maxWaiting) return;
      this.#timeline = mergeOlder(this.#timeline, page.messages, changes);
      this.#patch({ hasOlder: page.more, ...(this.#partial ? {} : { messages: this.#timeline.messages }) });
    } finally {
      if (life === this.#life) {
        this.#changesMeanwhile = undefined;
        this.#patch({ loadingOlder: false });
      }
    }
  }

  /** Marks all messages up to `seq` (default: the newest) as read. */
  markRead(seq = this.#timeline.messages.at(-1)?.seq ?? 0): void {
    if (this.#readMark.move(seq)) this.#services.onRead(this.id, seq);
  }

  /** Call it on each keystroke. */
  typing(): void {
    this.#typing.mine();
  }

  /** The draft was emptied without being sent. */
  typingEnded(): void {
    this.#typing.mineEnded(false);
  }

  // The client calls the methods below.

  /** Shows the stored state until the server's state comes. */
  async restore(): Promise<void> {
    const life = this.#life;
    const snapshot = await this.#services.archive.room(this.id);
    this.#restored = true;
    if (snapshot === undefined || life !== this.#life) return;
    this.#timeline = snapshot;
    this.#epoch = snapshot.epoch;
    this.#patch({ status: 'ready', hasOlder: snapshot.hasOlder });
    this.#mergeLive(true);
  }

  /**
   * Called when there is a connection. `head` is the room's head; undefined: the user is not a member.
   *
   * @param fresh the room was opened just now, so the list may not have it yet
   */
  connected(head: { seq: number; rev: number; read: number } | undefined, fresh = false): void {
    // During `restore` the state is unknown; the client calls this again after it.
    if (!this.#restored) return;
    if (head === undefined) return fresh ? this.reload() : this.gone(new ParleyError('not_member'));
    this.#members.reload();
    const sameHistory = this.#epoch === this.#services.epoch();
    if (!sameHistory && this.#epoch !== undefined) {
      // The database went back in time: marks, acks and events from before are invalid.
      this.#readMark.reset(head.read);
      this.#live = [];
      this.#services.outbox.covered(this.id, Infinity);
    }
    // The read mark of a room that was just opened may have moved here, and the server may not have it.
    if (!fresh) this.#readMark.confirmed(head.read);
    void this.#readMark.flush();
    const { status } = this.#state.value;
    const missing = head.seq - (this.#timeline.messages.at(-1)?.seq ?? 0);
    if (status !== 'ready' || !sameHistory || missing > maxCatchUp) this.reload();
    else if (head.rev !== this.cursor) this.#services.catchUp.request(this);
  }

  memberChanged(change: EventData<'member'>): void {
    this.#members.changed(change);
  }

  readBy(mark: EventData<'read'>): void {
    this.#members.read(mark);
  }

  /** Saves the state, if it changed, and sends a waiting read mark: the page or the client may end. */
  save(): void {
    void this.#readMark.flush();
    if (this.#saveTimer === undefined || this.#partial) return;
    this.#forgetSave();
    const { messages, cursor } = this.#timeline;
    const kept = messages.slice(-snapshotMessages);
    const hasOlder = this.#state.value.hasOlder || kept.length < messages.length;
    void this.#services.archive.saveRoom(this.id, { messages: kept, cursor, hasOlder, epoch: this.#epoch });
  }

  disconnected(): void {
    this.#typing.stop();
    // A load fails, and `connected` starts another. A read of the store still succeeds.
    if (this.#restored && this.#state.value.status === 'loading') this.#life += 1;
  }

  received(change: Change, from?: string): void {
    if (from !== undefined) this.#typing.ended(from);
    if (this.#changesMeanwhile !== undefined && this.#changesMeanwhile.length < maxWaiting) {
      this.#changesMeanwhile.push(change);
    }
    this.#overflowed ||= this.#live.length >= maxWaiting;
    this.#live = this.#overflowed ? [] : [...this.#live, change];
    if (this.#state.value.status === 'ready' && !this.#partial) this.#mergeLive();
  }

  signalled(signal: EventData<'signal'>): void {
    if (signal.name === typingSignal) this.#typing.signalled(signal.from, signal.data);
  }

  /**
   * An ack shows that the room has reached `rev`. Without this check, the next event would be the first to show a lost
   * one.
   */
  acknowledged(rev: number): void {
    if (this.#state.value.status === 'ready' && rev > this.cursor) this.#services.catchUp.request(this);
  }

  /**
   * The server unsubscribed this slow connection from the room. A pull subscribes it again, even if nothing is missing.
   */
  behind(): void {
    if (this.#state.value.status === 'ready') this.#services.catchUp.request(this);
    // The page may have been read before this event, so a pull follows it.
    else this.#overflowed = true;
  }

  synced(page: SyncPage): void {
    if (page.reset === true) return this.reload();
    this.#timeline = mergeStored(this.#timeline, page);
    this.#changesMeanwhile?.push(...page.messages.map(messageChange));
    this.#services.onStored(page.messages);
    this.#partial = page.more;
    if (!page.more) this.#mergeLive(true);
  }

  hidden(): void {
    this.gone(new ParleyError('not_member'));
  }

  gone(error: ParleyError): void {
    this.#life += 1;
    this.#live = [];
    this.#typing.stop();
    this.#members.list.set([]);
    this.#forgetSave();
    void this.#services.archive.saveRoom(this.id, undefined);
    this.#patch({ status: 'gone', error, loadingOlder: false });
  }

  readElsewhere(seq: number): void {
    this.#readMark.confirmed(seq);
  }

  outboxChanged(): void {
    const all = this.#services.outbox.entries.value;
    const held = this.#state.value.outgoing;
    const outgoing = all.filter((entry) => entry.input.room === this.id);
    if (outgoing.length === held.length && outgoing.every((entry, at) => entry === held[at])) return;
    this.#patch({ outgoing });
  }

  stop(): void {
    this.#life += 1;
    this.#typing.stop();
    this.#members.stop();
    clearTimeout(this.#loadTimer);
    this.save();
    this.#forgetSave();
    this.#patch({ status: 'closed' });
  }

  #forgetSave(): void {
    clearTimeout(this.#saveTimer);
    this.#saveTimer = undefined;
  }

  /** Starts over from the newest page. */
  reload(): void {
    this.#life += 1;
    this.#changesMeanwhile = undefined;
    this.#partial = false;
    this.#state.set({ ...blankRoom, messages: this.#state.value.messages, outgoing: this.#state.value.outgoing });
    void this.#load(this.#life);
  }

  async #load(life: number, failures = 0): Promise<void> {
    try {
      const page = await this.#services.request('history', { room: this.id, limit: historyPage });
      if (life !== this.#life) return;
      this.#timeline = { messages: page.messages, cursor: page.rev };
      this.#epoch = page.epoch;
      this.#services.onStored(page.messages);
      this.#patch({ status: 'ready', hasOlder: page.more });
      this.#mergeLive(true);
    } catch (thrown) {
      const error = asParleyError(thrown);
      if (life !== this.#life) return;
      if (!error.retryable) return this.gone(error);
      const again = delayBefore(failures, resendBackoff, error.retryAfter);
      this.#loadTimer = setTimeout(() => life === this.#life && void this.#load(life, failures + 1), again);
    }
  }

  #mergeLive(changed = false): void {
    const { timeline, waiting } = mergeLive(this.#timeline, this.#live);
    this.#live = waiting;
    if (timeline !== this.#timeline || changed) {
      // Not during the load of an older page, which belongs in front of the first message in memory.
      const long = timeline.messages.length > maxHeld && this.#changesMeanwhile === undefined;
      this.#timeline = long ? shortened(timeline) : timeline;
      if (long) this.#patch({ hasOlder: true });
      this.#saveTimer ??= setTimeout(() => this.save(), saveAfterMs);
      // The list changes before the outbox, so that a message is always in one of them.
      this.#patch({ messages: this.#timeline.messages });
      this.#services.outbox.delivered(this.#timeline.messages);
      this.#services.outbox.covered(this.id, timeline.cursor);
    }
    if (waiting.length > 0 || this.#overflowed) this.#services.catchUp.request(this);
    this.#overflowed = false;
  }

  #patch(change: Partial<RoomState>): void {
    const next = { ...this.#state.value, ...change };
    // A message and its entry are the same: only one of them is shown, in whatever order event and ack come.
    if (next.outgoing.length > 0 && (change.messages !== undefined || change.outgoing !== undefined)) {
      const held = new Set(next.messages.map((message) => message.id));
      next.outgoing = next.outgoing.filter((entry) => !held.has(entry.input.id));
    }
    this.#state.set(next);
  }
}

function shortened(timeline: Timeline): Timeline {
  return { ...timeline, messages: timeline.messages.slice(-keptHeld) };
}
