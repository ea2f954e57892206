/**
 * One open room: its messages, kept complete and in order while the connection comes and goes.
 *
 * loading ── history, or what the store kept ──▶ ready ── removed, left ──▶ gone
 *    └── not there, not ours ──▶ gone         gone ── joined again ──▶ loading
 * any ── released, client closed ──▶ closed
 *
 * The connection is subscribed before the history is read. What arrives in between waits in `#live` and is merged by
 * rev; a gap is closed by `sync` from the cursor, never by guessing.
 */
import { ParleyError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import { clientLimits as limits } from '../protocol/client-limits.ts';
import type { Member, Message, PresenceState } from '../protocol/model.ts';
import { snapshotMessages } from './archive.ts';
import type { Archive } from './archive.ts';
import { delayBefore, resendBackoff } from './backoff.ts';
import type { CatchUp, Syncable, SyncPage } from './catch-up.ts';
import { asParleyError } from './failure.ts';
import { Members } from './members.ts';
import { mergeLive, mergeOlder, mergeStored, messageChange } from './merge.ts';
import type { Change, Timeline } from './merge.ts';
import { messageStream } from './message-stream.ts';
import type { MessageStream } from './message-stream.ts';
import type { Outbox, Outgoing, SendOptions, SendResult } from './outbox.ts';
import type { Presence } from './presence.ts';
import { ReadMark } from './read-mark.ts';
import type { RequestFunction } from './request.ts';
import { Cell } from './readable.ts';
import type { Readable } from './readable.ts';
import { Typing, typingSignal } from './typing.ts';

export interface RoomState {
  /** `ready` says that there is something to show, not that there is a connection; `closed`: not kept up to date any more. */
  readonly status: 'loading' | 'ready' | 'gone' | 'closed';
  /** Why it is gone. */
  readonly error?: ParleyError;
  /** A run without a gap, by seq, up to the newest. */
  readonly messages: readonly Message[];
  /** Own messages that are not among `messages` yet, in the order they were written. */
  readonly outgoing: readonly Outgoing[];
  readonly hasOlder: boolean;
  readonly loadingOlder: boolean;
  /** Ids of others who are typing. */
  readonly typing: readonly string[];
}

export interface RoomServices {
  readonly request: RequestFunction;
  /** As `request`, but waits for the connection. */
  readonly call: RequestFunction;
  readonly outbox: Outbox;
  readonly catchUp: CatchUp;
  readonly archive: Archive;
  readonly presence: Presence;
  readonly members: () => Promise<readonly Member[]>;
  /** The history that the server has now. */
  readonly epoch: () => string | undefined;
  /** The read mark moved here, and the room list should know at once. */
  readonly onRead: (room: string, seq: number) => void;
  /** Stored messages came; the list shows the newest. */
  readonly onStored: (messages: readonly Message[]) => void;
}

const historyPage = 50;
/** Live events kept while a gap is being closed. Past this they are dropped: the sync that is due covers them. */
const maxWaiting = 500;
/** Missing more than this, the room starts over from its newest page instead of pulling everything in between. */
const maxCatchUp = 1000;
/** Messages held of a room that goes on and on; the oldest go, `loadOlder` brings them back. */
const maxHeld = 5000;
const keptHeld = 4000;
const saveAfterMs = 1000;
/** How long after its ack the event of a command may come. */
export const eventWithinMs = 1000;
const blank: RoomState = {
  status: 'loading',
  messages: [],
  outgoing: [],
  hasOlder: false,
  loadingOlder: false,
  typing: [],
};

export class Room implements Syncable {
  readonly id: string;
  /** Ordered, live, gap-free. */
  readonly messages: MessageStream;
  readonly #services: RoomServices;
  readonly #state = new Cell<RoomState>(blank);
  readonly #typing: Typing;
  readonly #readMark: ReadMark;
  /** The history that `#timeline` is of. */
  #epoch: string | undefined;
  #timeline: Timeline = { messages: [], cursor: 0 };
  #live: readonly Change[] = [];
  /** More live events came than are kept: what they told is asked for again. */
  #overflowed = false;
  /** Between two pages of one `sync`, when the list may have holes and is not shown. */
  #partial = false;
  /** Changes that came while an older page was read, for what may be in it. */
  #changesMeanwhile: Change[] | undefined;
  /** Tells answers to an earlier life of the room (before a reload) apart. */
  #life = 0;
  #loadTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #members: Members;
  /** The store was asked what it has. */
  #restored = false;
  #saveTimer: ReturnType<typeof setTimeout> | undefined;

  /** Made by `Client.room()`. */
  constructor(id: string, services: RoomServices) {
    this.id = id;
    this.#services = services;
    this.#readMark = new ReadMark((seq) => services.request('read', { room: id, seq }));
    this.#typing = new Typing(
      // Lost when offline, like any signal.
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

  /** Who is in it, of a very large room the first thousand; loaded and kept up to date while somebody is subscribed. */
  get members(): Readable<readonly Member[]> {
    return this.#members.list;
  }

  /** Who of the members is there, as far as it is known; of large rooms the first 200. While somebody is subscribed. */
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
   * Queues a message. It is shown in `state.outgoing` at once and leaves when there is a connection.
   *
   * @param body any JSON but null, at most 16 KiB
   * @returns when the server has it; rejects with the error that made it `failed`
   */
  send(body: unknown, options?: SendOptions): Promise<SendResult> {
    this.#typing.mineEnded(true);
    return this.#services.outbox.send(this.id, body, options);
  }

  /**
   * Replaces the body of a message. As the next three it waits for the connection and rejects with an error of the
   * catalogue; the list changes when the event comes. Trying again after a lost connection does no harm.
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

  /** The event of what was answered is on its way; if it was lost, that is noticed here. */
  #expect({ rev }: { rev: number }): void {
    setTimeout(() => this.acknowledged(rev), eventWithinMs);
  }

  retry(id: string): void {
    this.#services.outbox.retry(id);
  }

  discard(id: string): void {
    this.#services.outbox.discard(id);
  }

  /** The page of history in front of the first message held. Nothing happens while one is on its way, or at the start. */
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
      // So many changes that some were not kept: the page may be out of date, and is asked for again when it is wanted.
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

  /** Everything up to `seq` (the newest, if left out) has been seen. */
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

  // What follows is called by the client.

  /** Shows what the store has, until the server tells more. */
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
   * The connection is there; `head` tells where the room stands, and is undefined if it is not among ours.
   * @param fresh it was opened just now: the list may not have it yet
   */
  connected(head: { seq: number; rev: number; read: number } | undefined, fresh = false): void {
    // `restore` is under way; the client comes back then
    if (!this.#restored) return;
    if (head === undefined) return fresh ? this.reload() : this.gone(new ParleyError('not_member'));
    this.#members.reload();
    const stands = this.#epoch === this.#services.epoch();
    if (!stands && this.#epoch !== undefined) {
      // The database went back in time: marks, acks and events of before say nothing of what is there now.
      this.#readMark.reset(head.read);
      this.#live = [];
      this.#services.outbox.covered(this.id, Infinity);
    }
    // The mark of a room that was just opened may have been moved here already, and be untold.
    if (!fresh) this.#readMark.stands(head.read);
    void this.#readMark.flush();
    const { status } = this.#state.value;
    const missing = head.seq - (this.#timeline.messages.at(-1)?.seq ?? 0);
    if (status !== 'ready' || !stands || missing > maxCatchUp) this.reload();
    else if (head.rev !== this.cursor) this.#services.catchUp.request(this);
  }

  memberChanged(change: EventData<'member'>): void {
    this.#members.changed(change);
  }

  readBy(mark: EventData<'read'>): void {
    this.#members.read(mark);
  }

  /** Keeps what is held, if it changed, and sends the read mark that waits: the page or the client may end. */
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
    // What is being loaded fails, and `connected` loads anew; what the store is asked for still comes.
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

  /** An ack told that the room has reached `rev`. If its event was lost, that would be noticed with the next one only. */
  acknowledged(rev: number): void {
    if (this.#state.value.status === 'ready' && rev > this.cursor) this.#services.catchUp.request(this);
  }

  /** The server took this slow connection off the room; a pull puts it back, even if nothing was missed. */
  behind(): void {
    if (this.#state.value.status === 'ready') this.#services.catchUp.request(this);
    // the page that is being loaded may have been asked for before, so it is pulled again after it
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
    this.#readMark.stands(seq);
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

  /** From the newest page, forgetting what is held. */
  reload(): void {
    this.#life += 1;
    this.#changesMeanwhile = undefined;
    this.#partial = false;
    this.#state.set({ ...blank, messages: this.#state.value.messages, outgoing: this.#state.value.outgoing });
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
      // Not while an older page is on its way: it belongs in front of what is held now.
      const long = timeline.messages.length > maxHeld && this.#changesMeanwhile === undefined;
      this.#timeline = long ? shortened(timeline) : timeline;
      if (long) this.#patch({ hasOlder: true });
      this.#saveTimer ??= setTimeout(() => this.save(), saveAfterMs);
      // The list first, then the outbox: in no moment is a message in neither.
      this.#patch({ messages: this.#timeline.messages });
      this.#services.outbox.delivered(this.#timeline.messages);
      this.#services.outbox.covered(this.id, timeline.cursor);
    }
    if (waiting.length > 0 || this.#overflowed) this.#services.catchUp.request(this);
    this.#overflowed = false;
  }

  #patch(change: Partial<RoomState>): void {
    const next = { ...this.#state.value, ...change };
    // A message and its entry are the same thing: shown once, whichever of event and ack came first.
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
