import type { CommandInput, CommandName, CommandOutput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { EventData, EventName } from '../protocol/events.ts';
import { limits } from '../protocol/limits.ts';
import type { Member, Message, Role, RoomSummary } from '../protocol/model.ts';
import { CatchUp } from './catch-up.ts';
import { commandTimeoutMs, Connection } from './connection.ts';
import type { ConnectionState } from './connection.ts';
import type { SocketConstructor } from './link.ts';
import { Outbox } from './outbox.ts';
import type { OutboxStorage, SendInput, SendResult } from './outbox.ts';
import { Presence } from './presence.ts';
import { RoomList } from './room-list.ts';
import type { RoomEntry } from './room-list.ts';
import { deletedChange, messageChange, reactionChange } from './merge.ts';
import type { Change } from './merge.ts';
import { eventWithinMs, Room } from './room.ts';
import { Cell } from './store.ts';
import type { Store } from './store.ts';
import type { TokenSource } from './token.ts';

export interface ConnectOptions {
  /** Where the server is: `https://chat.example.org`, also with a path; `ws:` and `wss:` do as well. */
  url: string;
  /** The token, or what gives one: it is called on each connect and before the token expires. */
  token: TokenSource;
  /** For Node before 22: `ws`, for instance. */
  WebSocket?: SocketConstructor;
  /** Keeps what waits to be sent over a reload of the page. One storage for each tab: tabs do not share an outbox. */
  outbox?: OutboxStorage;
  /** What this device is called in the user's list of sessions, 1 to 64 characters. */
  device?: string;
}

export type User = EventData<'ready'>['user'];
/** What is left of a long history of members: a page at a time would be the caller's to ask. */
const maxMemberPages = 10;
/** Rooms asked one by one for their newest message; a list of more shows those without. */
const maxSinglePreviews = 50;

export class Client {
  /** Who is there. */
  readonly presence: Presence;
  readonly #connection: Connection;
  readonly #outbox: Outbox;
  readonly #catchUp: CatchUp;
  readonly #list = new RoomList();
  readonly #rooms = new Map<string, Room>();
  readonly #user = new Cell<User | undefined>(undefined);
  readonly #listeners = new Map<EventName, Set<(data: never) => void>>();

  constructor(options: ConnectOptions) {
    const WebSocket = options.WebSocket ?? (globalThis as { WebSocket?: SocketConstructor }).WebSocket;
    if (WebSocket === undefined) throw new ParleyError('invalid', 'There is no WebSocket here; pass one as an option.');
    this.#outbox = new Outbox((input) => this.#transmit(input), options.outbox);
    this.#outbox.entries.subscribe(() => this.#rooms.forEach((room) => room.outboxChanged()));
    this.#catchUp = new CatchUp((input) => this.#connection.request('sync', input));
    this.#connection = new Connection(
      { url: options.url, token: options.token, WebSocket, device: options.device },
      { ready: (ready) => this.#ready(ready), event: (name, data) => this.#event(name as EventName, data) },
    );
    this.presence = new Presence((name, input) => this.#connection.request(name, input));
    this.#connection.state.subscribe((state) => this.#stateChanged(state));
  }

  get state(): Store<ConnectionState> {
    return this.#connection.state;
  }

  /** Who the server says we are; undefined before the first connection. */
  get user(): Store<User | undefined> {
    return this.#user;
  }

  /** The rooms that are ours, the most recently active first. */
  get rooms(): Store<readonly RoomEntry[]> {
    return this.#list.entries;
  }

  /** A room, opened: it loads its newest page and stays up to date until `release` or `close`. */
  room(id: string): Room {
    const held = this.#rooms.get(id);
    if (held !== undefined) return held;
    const room = new Room(id, {
      request: (name, input) => this.#connection.request(name, input),
      command: (name, input) => this.command(name, input),
      outbox: this.#outbox,
      catchUp: this.#catchUp,
      onRead: (of, seq) => this.#list.read(of, seq),
      onStored: (messages) => this.#list.saw(messages),
    });
    this.#rooms.set(id, room);
    if (this.state.value.status === 'connected') room.reload();
    return room;
  }

  /** Stops keeping a room up to date and frees what it holds. */
  release(id: string): void {
    this.#rooms.get(id)?.stop();
    this.#rooms.delete(id);
  }

  /** Sends any command. Waits for the connection, then for the answer; fails with an error of the catalogue. */
  async command<C extends CommandName>(
    name: C,
    input: CommandInput<C>,
    options: { timeoutMs?: number } = {},
  ): Promise<CommandOutput<C>> {
    const timeoutMs = options.timeoutMs ?? commandTimeoutMs;
    await this.#connection.whenConnected(timeoutMs);
    return this.#connection.request(name, input, timeoutMs);
  }

  /** @returns what ends the listening */
  on<E extends EventName>(event: E, listener: (data: EventData<E>) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  async createRoom(input: CommandInput<'room:create'>): Promise<RoomSummary> {
    const { room } = await this.command('room:create', input);
    this.#entered(room);
    return room;
  }

  async joinRoom(id: string): Promise<RoomSummary> {
    const { room } = await this.command('room:join', { room: id });
    this.#entered(room);
    return room;
  }

  async leaveRoom(id: string): Promise<void> {
    await this.command('room:leave', { room: id });
    this.#left(id);
  }

  async invite(room: string, user: string, role?: Exclude<Role, 'owner'>): Promise<Member> {
    const { member } = await this.command('room:invite', role === undefined ? { room, user } : { room, user, role });
    return member;
  }

  /** A page of the channels that anybody may join, in id order; go on with `after`. */
  listChannels(after?: string): Promise<CommandOutput<'room:list'>> {
    const input = { scope: 'open', limit: limits.pageSize } as const;
    return this.command('room:list', after === undefined ? input : { ...input, after });
  }

  /** The members of a room; of a very large one the first thousand. `command('room:members')` gives single pages. */
  async members(room: string): Promise<readonly Member[]> {
    const members: Member[] = [];
    let after: string | null = null;
    for (let page = 0; page < maxMemberPages; page += 1) {
      const input = { room, limit: limits.pageSize };
      const answer: CommandOutput<'room:members'> = await this.command(
        'room:members',
        after === null ? input : { ...input, after },
      );
      members.push(...answer.members);
      after = answer.after;
      if (!answer.more || after === null) break;
    }
    return members;
  }

  /** Tries to connect now instead of waiting on. */
  wake(): void {
    this.#connection.wake();
  }

  /** Ends everything. What waited to be sent stays in the `outbox` storage, if there is one. */
  close(): void {
    this.#connection.close();
  }

  async #transmit(input: SendInput): Promise<SendResult> {
    const result = await this.#connection.request('message:send', input);
    const room = this.#rooms.get(input.room);
    // The event is on its way, or was lost on it; a room that is not open has nothing to wait for.
    if (room === undefined) queueMicrotask(() => this.#outbox.covered(input.room, result.rev));
    else setTimeout(() => room.acknowledged(result.rev), eventWithinMs);
    return result;
  }

  #ready(ready: EventData<'ready'>): void {
    this.#user.set(ready.user);
    this.#list.replace(ready.rooms);
    this.#tell('ready', ready);
    this.#catchUp.resume();
    void this.#completeList(ready).then((complete) => {
      if (!complete) return;
      for (const room of this.#rooms.values()) room.connected(this.#list.get(room.id));
      this.#outbox.resume();
      void this.#previews();
    });
  }

  /** `ready` names the first rooms only; those past them come in pages. */
  async #completeList(ready: EventData<'ready'>): Promise<boolean> {
    const rooms = [...ready.rooms];
    let after = ready.more ? (rooms.at(-1)?.id ?? null) : null;
    try {
      while (after !== null) {
        const page = await this.#connection.request('room:list', { after, limit: limits.pageSize });
        rooms.push(...page.rooms);
        after = page.more ? page.after : null;
      }
      if (ready.more) this.#list.replace(rooms);
      return true;
    } catch {
      // The connection went; the next `ready` starts over. Nothing may be concluded from half a list.
      return false;
    }
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
      const { rooms } = await this.#connection.request('sync', {
        cursors: Object.fromEntries(wanted.map(({ id, rev }) => [id, rev])),
        limit: limits.syncMessages,
      });
      this.#list.saw(Object.values(rooms).flatMap((page) => page.messages));
      const left = wanted.filter(({ id, rev }) => rooms[id]?.more !== false || !this.#list.refreshed(id, rev));
      for (const { id } of left.slice(0, maxSinglePreviews)) {
        const { messages } = await this.#connection.request('history', { room: id, limit: 1 });
        this.#list.renewed(id, messages[0]);
      }
    } catch {
      // A list without previews is still a list.
    }
  }

  #event(name: EventName, data: unknown): void {
    switch (name) {
      case 'message':
        this.#message(data as EventData<'message'>);
        break;
      case 'message:updated':
        this.#changed((data as Message).room, messageChange(data as Message));
        break;
      case 'message:deleted': {
        const deleted = data as EventData<'message:deleted'>;
        this.#changed(deleted.room, deletedChange(deleted));
        break;
      }
      case 'reaction': {
        const reaction = data as EventData<'reaction'>;
        this.#changed(reaction.room, reactionChange(reaction, this.#user.value?.id));
        break;
      }
      case 'member':
        this.#member(data as EventData<'member'>);
        break;
      case 'read':
        this.#read(data as EventData<'read'>);
        break;
      case 'signal':
        this.#signal(data as EventData<'signal'>);
        break;
      case 'behind':
        this.#behind(data as EventData<'behind'>);
        break;
      case 'room:purged': {
        // `sync` answers `reset`, and the room is loaded anew without what has expired
        const { room, rev } = data as EventData<'room:purged'>;
        this.#behind({ room, head: rev });
        break;
      }
      case 'presence':
        this.presence.event(data as EventData<'presence'>);
        break;
      case 'delivered': // nobody shows it yet
      case 'room':
        if ((data as EventData<'room'>).change === 'deleted') this.#left((data as EventData<'room'>).room);
        break;
      case 'invitation':
      case 'pin': {
        const { room, rev } = data as EventData<'pin'>;
        this.#behind({ room, head: rev });
        break;
      }
      case 'mention':
      case 'thread':
      case 'session:revoked': // the close that follows is what counts
      case 'drain': // the connection sees to it
      case 'ready':
    }
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
    if (change.user !== this.#user.value?.id) return;
    this.#list.membership(change);
    if (change.role === null) this.#rooms.get(change.room)?.gone(new ParleyError('not_member'));
    else if (change.change === 'joined') this.#reopen(change.room);
  }

  #read(mark: EventData<'read'>): void {
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

  #left(id: string): void {
    this.#list.remove(id);
    this.#rooms.get(id)?.gone(new ParleyError('not_member'));
  }

  #reopen(id: string): void {
    const room = this.#rooms.get(id);
    if (room?.state.value.status === 'gone') room.reload();
  }

  #tell(name: EventName, data: unknown): void {
    for (const listener of Array.from(this.#listeners.get(name) ?? [])) listener(data as never);
  }

  #stateChanged(state: ConnectionState): void {
    if (state.status === 'connected') return this.presence.connected();
    this.presence.disconnected();
    this.#outbox.pause();
    this.#catchUp.pause();
    for (const room of this.#rooms.values()) {
      if (state.status === 'closed') room.stop();
      else room.disconnected();
    }
    if (state.status === 'closed') this.#outbox.stop();
  }
}

/** Connects at once and stays connected until `close()`. */
export function connect(options: ConnectOptions): Client {
  return new Client(options);
}
