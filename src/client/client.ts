import type { CommandInput, CommandName, CommandOutput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { EventData, EventName } from '../protocol/events.ts';
import { clientLimits as limits } from '../protocol/client-limits.ts';
import type { Member, Role, RoomSummary } from '../protocol/model.ts';
import { Archive } from './archive.ts';
import { delayBefore, resendBackoff } from './backoff.ts';
import { CatchUp } from './catch-up.ts';
import { connectedWithin } from './connection.ts';
import type { ConnectionState } from './connection.ts';
import { asParleyError } from './failure.ts';
import type { SocketConstructor } from './link.ts';
import { listen } from './page.ts';
import { Outbox } from './outbox.ts';
import { Presence } from './presence.ts';
import { RoomList } from './room-list.ts';
import type { RoomEntry } from './room-list.ts';
import { deletedChange, messageChange, reactionChange } from './merge.ts';
import type { Change } from './merge.ts';
import { Cell, tell } from './readable.ts';
import type { Readable } from './readable.ts';
import { eventWithinMs, Room } from './room.ts';
import { memoryStore } from './store.ts';
import type { Store } from './store.ts';
import { Tabs } from './tabs.ts';
import type { TokenSource } from './token.ts';

export interface ConnectOptions {
  /** Where the server is: `https://chat.example.org`, also with a path; `ws:` and `wss:` do as well. */
  url: string;
  /** The token, or what gives one: it is called on each connect and before the token expires. */
  token: TokenSource;
  /** For Node before 22: `ws`, for instance. */
  WebSocket?: SocketConstructor;
  /** Keeps what waits to be sent, and the rooms seen last, over a reload; left out: for the life of the client. */
  store?: Store;
  /** Whose client this is, where that is known before a token is, or the token is no JWT: `sub` is taken otherwise. */
  user?: string;
  /** Share one connection with the other tabs of this user, where browsers can (https, localhost). As a rule: true. */
  tabs?: boolean;
  /** What a command waits for its answer, and a connection for its greeting, in ms; 15,000 as a rule. */
  timeoutMs?: number;
  /** What this device is called in the user's list of sessions, 1 to 64 characters. */
  device?: string;
}

export type User = EventData<'ready'>['user'];
/** What is left of a long history of members: a page at a time would be the caller's to ask. */
const maxMemberPages = 10;
/** The list is saved this long after a change; the outbox at once. */
const saveAfterMs = 1000;
const savedRooms = 200;
/** Rooms asked one by one for their newest message; a list of more shows those without. */
const maxSinglePreviews = 50;

export class Client {
  /** Who is there. */
  readonly presence: Presence;
  readonly #options: ConnectOptions;
  readonly #tabs: Tabs;
  readonly #archive: Archive;
  readonly #outbox: Outbox;
  readonly #catchUp: CatchUp;
  readonly #list = new RoomList();
  readonly #rooms = new Map<string, Room>();
  /** The history that the list is of. */
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
    this.#archive = new Archive(options.store ?? memoryStore());
    this.#outbox = new Outbox({
      transmit: (input) => this.#tabs.request('message:send', input),
      archive: this.#archive,
      tell: (news) => this.#tabs.tell(news),
      sent: (room, rev) => this.#sent(room, rev),
    });
    this.#outbox.entries.subscribe(() => this.#rooms.forEach((room) => room.outboxChanged()));
    this.#catchUp = new CatchUp((input) =>
      this.#tabs.request('sync', { ...input, ...(this.#epoch && { epoch: this.#epoch }) }),
    );
    // Before the tabs listen, which let the connection go.
    this.#stopListening = listen('window', 'pagehide', () => this.#save());
    this.#tabs = new Tabs(
      {
        url: options.url,
        token: options.token,
        WebSocket,
        device: options.device,
        timeoutMs: options.timeoutMs ?? 15_000,
        user: options.user,
        share: options.tabs !== false,
      },
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

  /** What the store failed with last, if it did: what was to be kept then is not. */
  get storeError(): Readable<ParleyError | undefined> {
    return this.#archive.failed;
  }

  /** Who the server says we are; undefined before the first connection. */
  get user(): Readable<User | undefined> {
    return this.#user;
  }

  /** The rooms that are ours, the most recently active first. */
  get rooms(): Readable<readonly RoomEntry[]> {
    return this.#list.entries;
  }

  /** A room, opened: it loads its newest page and stays up to date until `release` or `close`. */
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

  /** Stops keeping a room up to date and frees what it holds. */
  release(id: string): void {
    this.#rooms.get(id)?.stop();
    this.#rooms.delete(id);
  }

  /** Sends any command. Waits for the connection, then for the answer; fails with an error of the catalogue. */
  async call<C extends CommandName>(
    name: C,
    input: CommandInput<C>,
    options: { timeoutMs?: number } = {},
  ): Promise<CommandOutput<C>> {
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs ?? 15_000;
    await connectedWithin(this.state, timeoutMs);
    return this.#tabs.request(name, input, timeoutMs);
  }

  /** @returns what ends the listening */
  on<E extends EventName>(event: E, listener: (data: EventData<E>) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    // One of its own for each call: the same function may be given twice.
    const own = (data: EventData<E>): void => listener(data);
    this.#listeners.set(event, listeners.add(own));
    return () => listeners.delete(own);
  }

  async createRoom(input: CommandInput<'room:create'>): Promise<RoomSummary> {
    const { room } = await this.call('room:create', input);
    this.#entered(room);
    return room;
  }

  async joinRoom(id: string): Promise<RoomSummary> {
    const { room } = await this.call('room:join', { room: id });
    this.#entered(room);
    return room;
  }

  async leaveRoom(id: string): Promise<void> {
    await this.call('room:leave', { room: id });
    this.#left(id);
  }

  async invite(room: string, user: string, role?: Exclude<Role, 'owner'>): Promise<Member | undefined> {
    const { member } = await this.call('room:invite', { room, user, ...(role && { role }) });
    return member;
  }

  /** A page of the channels that anybody may join, in id order; go on with `after`. */
  listChannels(after?: string): Promise<CommandOutput<'room:list'>> {
    return this.call('room:list', { scope: 'open', limit: limits.pageSize, ...(after && { after }) });
  }

  /** The members of a room; of a very large one the first thousand. `call('room:members')` gives single pages. */
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

  /** Tries to connect now instead of waiting on. */
  wake(): void {
    this.#tabs.wake();
  }

  /** Ends it in this tab. What waited to be sent stays in the store, for the next client. */
  close(): void {
    // Before the connection goes: what is read up to is sent over it.
    this.#save();
    this.#tabs.close();
  }

  /** Ends it and removes what the store keeps of this user: for signing out. */
  async forget(): Promise<void> {
    this.close();
    await this.#archive.forget();
  }

  /** The event is on its way, or was lost on it; a room that is not open has nothing to wait for. */
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
      // What waits to be sent is somebody else's.
      return this.#tabs.close(new ParleyError('forbidden', `The token is not of ${known}.`));
    }
    this.#user.set(ready.user);
    this.#ready = ready;
    if (ready.epoch !== this.#epoch) this.#list.clear();
    this.#epoch = ready.epoch;
    this.#list.replace(ready.rooms, ready.more);
    this.#tell('ready', ready);
    this.#catchUp.resume();
    const after = ready.more ? (ready.rooms.at(-1)?.id ?? null) : null;
    queueMicrotask(() => void this.#complete(ready, after));
  }

  /**
   * `ready` names the first rooms only; those past them come in pages. Nothing may be concluded from half a list, so a page
   * that does not come is asked for again for as long as there is this connection.
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
    else this.#outbox.handOver();
    void this.#previews();
  }

  /**
   * The newest message of each room that is not open, for lists to show. `rev` is dense, so a sync from one before the
   * head returns the last change, which nearly always is the newest message: one command for all rooms. Where an older
   * message was edited or reacted to last, the newest is asked for by itself.
   */
  async #previews(): Promise<void> {
    const wanted = this.#list
      .unseen()
      .filter(({ id }) => !this.#rooms.has(id))
      .slice(0, limits.syncRooms);
    if (wanted.length === 0) return;
    try {
      const { rooms } = await this.#tabs.request('sync', {
        cursors: Object.fromEntries(wanted.map(({ id, rev }) => [id, rev])),
        limit: limits.syncMessages,
      });
      this.#list.saw(Object.values(rooms).flatMap((page) => page.messages));
      const left = wanted.filter(({ id, rev }) => rooms[id]?.more !== false || !this.#list.refreshed(id, rev));
      for (const { id } of left.slice(0, maxSinglePreviews)) {
        const { messages } = await this.#tabs.request('history', { room: id, limit: 1 });
        this.#list.renewed(id, messages[0]);
      }
    } catch {
      // A list without previews is still a list.
    }
  }

  /** What the client itself makes of an event; all go to those who listen with `on`. */
  readonly #uses: { readonly [E in EventName]?: (data: EventData<E>) => void } = {
    message: (message) => this.#message(message),
    'message:updated': (message) => this.#changed(message.room, messageChange(message)),
    'message:deleted': (deleted) => this.#changed(deleted.room, deletedChange(deleted)),
    reaction: (reaction) => this.#changed(reaction.room, reactionChange(reaction, this.#user.value?.id)),
    member: (change) => this.#member(change),
    read: (mark) => this.#read(mark),
    signal: (signal) => this.#signal(signal),
    behind: (behind) => this.#behind(behind),
    presence: (told) => this.presence.event(told),
    // what a pull brings: the message with its pin; `reset`, and the room without what has expired
    pin: ({ room, rev }) => this.#behind({ room, head: rev }),
    'room:purged': ({ room, rev }) => this.#behind({ room, head: rev }),
    room: (told) => this.#room(told),
  };

  #event(name: EventName, data: unknown): void {
    (this.#uses[name] as ((data: unknown) => void) | undefined)?.(data);
    this.#tell(name, data);
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

  /** The server took this slow connection off a room; pulling puts it back, so it is done for rooms that are not open too. */
  #behind({ room: id, head }: EventData<'behind'>): void {
    const room = this.#rooms.get(id);
    if (room !== undefined) return room.behind();
    let cursor = head - 1;
    this.#catchUp.request({
      id,
      get cursor() {
        return cursor;
      },
      synced: (page) => {
        cursor = page.rev;
        this.#list.saw(page.messages);
      },
      hidden: () => undefined,
    });
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

  #entered(room: RoomSummary): void {
    this.#list.put(room);
    this.#reopen(room.id);
  }

  #room({ room, change, state }: EventData<'room'>): void {
    const held = this.#list.get(room);
    if (change === 'deleted') this.#left(room);
    else if (held !== undefined && state !== undefined) {
      // not the settings that it had: what `state` lacks stands at its default
      const { role, seq, rev, read, peer, muted } = held;
      this.#list.put({ ...state, role, seq, rev, read, ...(peer && { peer }), ...(muted && { muted }) });
    }
  }

  #left(id: string): void {
    this.#list.remove(id);
    this.#rooms.get(id)?.gone(new ParleyError('not_member'));
  }

  #reopen(id: string): void {
    const room = this.#rooms.get(id);
    if (room?.state.value.status === 'gone') room.reload();
  }

  #tell(name: EventName, data: unknown): void {
    tell(this.#listeners.get(name) ?? [], data as never);
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

/** Connects at once and stays connected until `close()`. */
export function connect(options: ConnectOptions): Client {
  return new Client(options);
}
