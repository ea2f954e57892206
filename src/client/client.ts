import type { CommandInput, CommandName, CommandOutput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { EventData, EventName } from '../protocol/events.ts';
import { clientLimits as limits } from '../protocol/client-limits.ts';
import type { Member, Role, RoomSummary } from '../protocol/model.ts';
import { Archive } from './archive.ts';
import { delayBefore, resendBackoff } from './backoff.ts';
import { CatchUp } from './catch-up.ts';
import type { SyncPage } from './catch-up.ts';
import type { ConnectOptions, User } from './connect.ts';
import { connectedWithin } from './connection.ts';
import type { ConnectionState } from './connection.ts';
import { asParleyError } from './failure.ts';
import type { SocketConstructor } from './link.ts';
import { listen } from './page.ts';
import { Outbox } from './outbox.ts';
import { Presence } from './presence.ts';
import { loadPreviews } from './previews.ts';
import { RoomList } from './room-list.ts';
import type { RoomEntry } from './room-list.ts';
import { deletedChange, messageChange, reactionChange } from './merge.ts';
import type { Change } from './merge.ts';
import { Cell, notify } from './readable.ts';
import type { Readable } from './readable.ts';
import { eventWithinMs, Room } from './room.ts';
import { memoryStore } from './store.ts';
import { Tabs } from './tabs.ts';

/** The list is saved this long after a change; the outbox is saved at once. */
const saveAfterMs = 1000;
const savedRooms = 200;
/** A larger room needs single pages, which its application requests itself. */
const maxMemberPages = 10;

export class Client {
  /** The presence of other users. */
  readonly presence: Presence;
  readonly #options: ConnectOptions;
  readonly #timeoutMs: number;
  readonly #tabs: Tabs;
  readonly #archive: Archive;
  readonly #outbox: Outbox;
  readonly #catchUp: CatchUp;
  readonly #list = new RoomList();
  readonly #rooms = new Map<string, Room>();
  /** The epoch of the room list. */
  #epoch: string | undefined;
  readonly #user = new Cell<User | undefined>(undefined);
  readonly #listeners = new Map<EventName, Set<(data: never) => void>>();
  /** The `ready` of this connection. */
  #ready: EventData<'ready'> | undefined;
  /** The same, once the list of rooms is complete. */
  #greeted: EventData<'ready'> | undefined;
  #listTimer: ReturnType<typeof setTimeout> | undefined;
  #saveTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #stopListening: () => void;

  constructor(options: ConnectOptions) {
    const WebSocket = options.WebSocket ?? (globalThis as { WebSocket?: SocketConstructor }).WebSocket;
    if (WebSocket === undefined) throw new ParleyError('invalid', 'Pass a WebSocket.');
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 15_000;
    this.#archive = new Archive(options.store ?? memoryStore());
    this.#outbox = new Outbox({
      transmit: (input) => this.#tabs.request('message:send', input),
      archive: this.#archive,
      publish: (news) => this.#tabs.publish(news),
      sent: (room, rev) => this.#sent(room, rev),
    });
    this.#outbox.entries.subscribe(() => this.#rooms.forEach((room) => room.outboxChanged()));
    this.#catchUp = new CatchUp((input) =>
      this.#tabs.request('sync', { ...input, ...(this.#epoch && { epoch: this.#epoch }) }),
    );
    // Runs before the listener of the tabs, which ends the connection.
    this.#stopListening = listen('window', 'pagehide', () => this.#save());
    this.#tabs = new Tabs(
      { ...options, WebSocket, timeoutMs: this.#timeoutMs, share: options.tabs !== false },
      {
        ready: (ready) => this.#greet(ready),
        event: (name, data) => this.#event(name as EventName, data),
        identified: (user) => this.#identified(user),
        outbox: (news) => this.#outbox.learn(news),
        present: () => this.#greeted && { ...this.#greeted, rooms: [...this.#list.entries.value], more: false },
      },
    );
    this.presence = new Presence((name, input) => this.#tabs.request(name, input));
    this.#tabs.state.subscribe((state) => this.#stateChanged(state));
    this.#list.entries.subscribe(() => (this.#saveTimer ??= setTimeout(() => this.#save(), saveAfterMs)));
  }

  get state(): Readable<ConnectionState> {
    return this.#tabs.state;
  }

  /** The last failure of the store. The value of that write is not kept. */
  get storeError(): Readable<ParleyError | undefined> {
    return this.#archive.failed;
  }

  /** This user, as the server names them; undefined before the first connection. */
  get user(): Readable<User | undefined> {
    return this.#user;
  }

  /** The rooms of this user, the most recently active first. */
  get rooms(): Readable<readonly RoomEntry[]> {
    return this.#list.entries;
  }

  /** Opens a room. The room loads its newest page and stays up to date until `release` or `close`. */
  room(id: string): Room {
    const held = this.#rooms.get(id);
    if (held !== undefined) return held;
    const room = new Room(id, {
      request: (name, input) => this.#tabs.request(name, input),
      call: (name, input) => this.call(name, input),
      outbox: this.#outbox,
      catchUp: this.#catchUp,
      archive: this.#archive,
      presence: this.presence,
      members: () => this.members(id),
      epoch: () => this.#epoch,
      onRead: (of, seq) => this.#list.read(of, seq),
      onStored: (messages) => this.#list.saw(messages),
    });
    this.#rooms.set(id, room);
    void room.restore().then(() => {
      if (this.#greeted !== undefined && this.#rooms.get(id) === room) room.connected(this.#list.get(id), true);
    });
    return room;
  }

  /** Stops updating a room and frees its memory. */
  release(id: string): void {
    this.#rooms.get(id)?.stop();
    this.#rooms.delete(id);
  }

  /** Sends any command. Waits for the connection, then for the answer; fails with an error of the catalogue. */
  async call<C extends CommandName>(
    name: C,
    input: CommandInput<C>,
    { timeoutMs = this.#timeoutMs }: { timeoutMs?: number } = {},
  ): Promise<CommandOutput<C>> {
    await connectedWithin(this.state, timeoutMs);
    return this.#tabs.request(name, input, timeoutMs);
  }

  /** @returns a function that removes the listener */
  on<E extends EventName>(event: E, listener: (data: EventData<E>) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    // Each call adds its own listener: the same function may be given twice.
    const own = (data: EventData<E>): void => listener(data);
    this.#listeners.set(event, listeners.add(own));
    return () => listeners.delete(own);
  }

  createRoom(input: CommandInput<'room:create'>): Promise<RoomSummary> {
    return this.#entered(this.call('room:create', input));
  }

  joinRoom(id: string): Promise<RoomSummary> {
    return this.#entered(this.call('room:join', { room: id }));
  }

  async leaveRoom(id: string): Promise<void> {
    await this.call('room:leave', { room: id });
    this.#left(id);
  }

  async invite(room: string, user: string, role?: Exclude<Role, 'owner'>): Promise<Member | undefined> {
    const { member } = await this.call('room:invite', { room, user, ...(role && { role }) });
    return member;
  }

  /** A page of the open channels, in id order; the next page begins with `after`. */
  listChannels(after?: string): Promise<CommandOutput<'room:list'>> {
    return this.call('room:list', { scope: 'open', limit: limits.pageSize, ...(after && { after }) });
  }

  /** The members of a room, at most the first thousand. `call('room:members')` gives single pages. */
  async members(room: string): Promise<readonly Member[]> {
    const members: Member[] = [];
    let after: string | null = null;
    for (let page = 0; page < maxMemberPages; page += 1) {
      const input = { room, limit: limits.pageSize, ...(after && { after }) };
      const answer: CommandOutput<'room:members'> = await this.call('room:members', input);
      members.push(...answer.members);
      after = answer.after;
      if (!answer.more || after === null) break;
    }
    return members;
  }

  /** Tries to connect now, without waiting for the backoff. */
  wake(): void {
    this.#tabs.wake();
  }

  /** Closes the client in this tab. Unsent messages stay in the store, for the next client. */
  close(): void {
    // Runs before the connection ends, because the read marks are sent over it.
    this.#save();
    this.#tabs.close();
  }

  /** Closes the client and removes the entries of this user from the store: for signing out. */
  async forget(): Promise<void> {
    this.close();
    await this.#archive.forget();
  }

  /** The event is on its way, or was lost. A room that is not open has no event to wait for. */
  #sent(id: string, rev: number): void {
    const room = this.#rooms.get(id);
    if (room === undefined) queueMicrotask(() => this.#outbox.covered(id, rev));
    else setTimeout(() => room.acknowledged(rev), eventWithinMs);
  }

  async #identified(user: string | undefined): Promise<void> {
    const known = user !== undefined || this.#options.store === undefined;
    this.#archive.open(known ? `${this.#options.url} ${user ?? ''}/` : undefined);
    const list = (await this.#archive.get('list')) as { user: User; rooms: RoomEntry[]; epoch?: string } | undefined;
    if (list !== undefined && this.#user.value === undefined) {
      this.#user.set(list.user);
      this.#epoch = list.epoch;
      this.#list.replace(list.rooms);
    }
    await this.#outbox.restore();
  }

  #save(): void {
    clearTimeout(this.#saveTimer);
    this.#saveTimer = undefined;
    const { value: user } = this.#user;
    const rooms = this.#list.entries.value.slice(0, savedRooms);
    if (user !== undefined) this.#archive.set('list', { user, rooms, epoch: this.#epoch });
    for (const room of this.#rooms.values()) room.save();
  }

  #greet(ready: EventData<'ready'>): void {
    const known = this.#user.value?.id ?? this.#options.user;
    if (known !== undefined && known !== ready.user.id) {
      // The unsent messages belong to another user.
      return this.#tabs.close(new ParleyError('forbidden', `The token is not of ${known}.`));
    }
    this.#user.set(ready.user);
    this.#ready = ready;
    if (ready.epoch !== this.#epoch) this.#list.clear();
    this.#epoch = ready.epoch;
    this.#list.replace(ready.rooms, ready.more);
    this.#emit('ready', ready);
    this.#catchUp.resume();
    const after = ready.more ? (ready.rooms.at(-1)?.id ?? null) : null;
    queueMicrotask(() => void this.#complete(ready, after));
  }

  /**
   * `ready` names the first rooms only; the others come in pages. A partial list leads to wrong conclusions, so a
   * failed page is requested again until the connection ends.
   */
  async #complete(ready: EventData<'ready'>, after: string | null, failures = 0): Promise<void> {
    try {
      while (after !== null) {
        const page = await this.#tabs.request('room:list', { after, limit: limits.pageSize });
        if (ready !== this.#ready) return;
        after = page.more ? page.after : null;
        this.#list.add(page.rooms, after !== null);
        failures = 0;
      }
    } catch (thrown) {
      if (ready !== this.#ready) return;
      const delay = delayBefore(failures, resendBackoff, asParleyError(thrown).retryAfter);
      this.#listTimer = setTimeout(() => void this.#complete(ready, after, failures + 1), delay);
      return;
    }
    if (ready !== this.#ready) return;
    this.#greeted = ready;
    this.#tabs.present();
    for (const room of this.#rooms.values()) room.connected(this.#list.get(room.id));
    if (this.#tabs.leading) this.#outbox.resume();
    else this.#outbox.publishUnsent();
    void loadPreviews(this.#tabs, this.#list, this.#rooms);
  }

  /** The client's own handlers. The listeners of `on` get every event. */
  readonly #uses: { readonly [E in EventName]?: (data: EventData<E>) => void } = {
    message: (message) => this.#message(message),
    'message:updated': (message) => this.#changed(message.room, messageChange(message)),
    'message:deleted': (deleted) => this.#changed(deleted.room, deletedChange(deleted)),
    reaction: (reaction) => this.#changed(reaction.room, reactionChange(reaction, this.#user.value?.id)),
    member: (change) => this.#member(change),
    read: (mark) => this.#read(mark),
    signal: (signal) => this.#signal(signal),
    behind: (behind) => this.#behind(behind),
    presence: (state) => this.presence.event(state),
    // A pull brings the pinned message, or `reset` and the room without its expired messages.
    pin: ({ room, rev }) => this.#behind({ room, head: rev }),
    'room:purged': ({ room, rev }) => this.#behind({ room, head: rev }),
    room: (event) => this.#room(event),
  };

  #event(name: EventName, data: unknown): void {
    (this.#uses[name] as ((data: unknown) => void) | undefined)?.(data);
    this.#emit(name, data);
  }

  #message(message: EventData<'message'>): void {
    this.#list.saw([message]);
    const room = this.#rooms.get(message.room);
    if (room === undefined) this.#outbox.delivered([message]);
    else room.received(messageChange(message), message.from);
  }

  #changed(room: string, change: Change): void {
    this.#list.changed(room, change);
    this.#rooms.get(room)?.received(change);
  }

  /**
   * The server unsubscribed this slow connection from a room. A pull subscribes it again, also for rooms that are not
   * open.
   */
  #behind({ room: id, head }: EventData<'behind'>): void {
    const room = this.#rooms.get(id);
    if (room !== undefined) return room.behind();
    const unopened = {
      id,
      cursor: head - 1,
      synced: (page: SyncPage) => {
        unopened.cursor = page.rev;
        this.#list.saw(page.messages);
      },
      hidden: () => undefined,
    };
    this.#catchUp.request(unopened);
  }

  #member(change: EventData<'member'>): void {
    if (change.change === 'joined') this.presence.memberJoined();
    this.#rooms.get(change.room)?.memberChanged(change);
    if (change.user !== this.#user.value?.id) return;
    this.#list.membership(change);
    if (change.role === null) this.#rooms.get(change.room)?.gone(new ParleyError('not_member'));
    else if (change.change === 'joined') this.#reopen(change.room);
  }

  #read(mark: EventData<'read'>): void {
    this.#rooms.get(mark.room)?.readBy(mark);
    if (mark.user !== this.#user.value?.id) return;
    this.#list.read(mark.room, mark.seq);
    this.#rooms.get(mark.room)?.readElsewhere(mark.seq);
  }

  #signal(signal: EventData<'signal'>): void {
    if (signal.from !== this.#user.value?.id) this.#rooms.get(signal.room)?.signalled(signal);
  }

  async #entered(answer: Promise<{ room: RoomSummary }>): Promise<RoomSummary> {
    const { room } = await answer;
    this.#list.put(room);
    this.#reopen(room.id);
    return room;
  }

  #room({ room, change, state }: EventData<'room'>): void {
    if (change === 'deleted') this.#left(room);
    else if (state !== undefined) this.#list.update(room, state);
  }

  #left(id: string): void {
    this.#list.remove(id);
    this.#rooms.get(id)?.gone(new ParleyError('not_member'));
  }

  #reopen(id: string): void {
    const room = this.#rooms.get(id);
    if (room?.state.value.status === 'gone') room.reload();
  }

  #emit(name: EventName, data: unknown): void {
    notify(this.#listeners.get(name) ?? [], data as never);
  }

  #stateChanged(state: ConnectionState): void {
    if (state.status === 'connected') return this.presence.connected();
    this.#ready = this.#greeted = undefined;
    clearTimeout(this.#listTimer);
    this.presence.disconnected();
    this.#outbox.pause();
    this.#catchUp.pause();
    for (const room of this.#rooms.values()) room.disconnected();
    if (state.status !== 'closed') return;
    this.#save();
    this.#stopListening();
    clearTimeout(this.#saveTimer);
    for (const room of this.#rooms.values()) room.stop();
    this.#outbox.stop();
  }
}
