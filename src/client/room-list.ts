/** The rooms of this user, as a list shows them: updated by `ready`, by events and by the user's own commands. */
import type { EventData } from '../protocol/events.ts';
import type { Message, RoomSummary } from '../protocol/model.ts';
import { changed } from './merge.ts';
import type { Change } from './merge.ts';
import { Cell } from './readable.ts';
import type { Readable } from './readable.ts';

export interface RoomEntry extends RoomSummary {
  readonly unread: number;
  /** The newest known message. */
  readonly last?: Message;
}

type RoomSettings = NonNullable<EventData<'room'>['state']>;
/** An entry from another tab or from the store also has its newest message. */
type ListedRoom = RoomSummary & { readonly last?: Message };

export class RoomList {
  readonly #byId = new Map<string, RoomEntry>();
  /** The list before the last `replace`, without the entries that were received since. */
  #before = new Map<string, RoomEntry>();
  /** The rev up to which `last` is valid, of rooms that changed while the client was offline. */
  readonly #stale = new Map<string, number>();
  readonly #view = new Cell<readonly RoomEntry[]>([]);

  /** Rooms by last activity, the newest first; rooms without activity by name. */
  get entries(): Readable<readonly RoomEntry[]> {
    return this.#view;
  }

  get(id: string): RoomEntry | undefined {
    return this.#byId.get(id);
  }

  /** The entries belong to another epoch. */
  clear(): void {
    this.#byId.clear();
    this.#stale.clear();
  }

  /** Replaces the list. @param more these are the first rooms: `add` brings the rest */
  replace(rooms: readonly ListedRoom[], more = false): void {
    this.#before = new Map(this.#byId);
    this.add(rooms, more);
  }

  /**
   * An entry that changed since `replace` is live, and newer than a page may be. All others are taken from the page,
   * even if it goes back: a server may have been restored. Rooms that are in no page are removed with the last one.
   */
  add(rooms: readonly ListedRoom[], more: boolean): void {
    const before = this.#before;
    for (const room of rooms) {
      const held = this.#byId.get(room.id);
      const live = held === undefined || held === before.get(room.id) ? room : held;
      const now = { ...room, ...heads(live, room), read: Math.max(live.read, room.read) };
      this.#hold(now, newest(held?.last, room.last));
      if (held !== undefined && held.rev < room.rev && !this.#stale.has(room.id)) this.#stale.set(room.id, held.rev);
      before.delete(room.id);
    }
    if (!more) for (const [id, held] of before) if (this.#byId.get(id) === held) this.#byId.delete(id);
    this.#show();
  }

  /** The rooms whose `last` may not be the newest message in its present state, with the rev to sync from. */
  unseen(): { id: string; rev: number }[] {
    return this.#view.value.flatMap(({ id, seq, rev, last }) => {
      const since = this.#stale.get(id);
      if (rev === 0 || (last?.seq === seq && since === undefined)) return [];
      // The newest message nearly always is the last change. After many missed changes only the last one is read.
      return [{ id, rev: since !== undefined && rev - since <= maxMissed ? since : rev - 1 }];
    });
  }

  /** The answer for a room of `unseen` has come. @returns whether `last` is the newest message in its present state */
  refreshed(id: string, from: number): boolean {
    const held = this.#byId.get(id);
    const known = held?.last?.seq === held?.seq && from <= (this.#stale.get(id) ?? Infinity);
    if (known) this.#stale.delete(id);
    return known;
  }

  /** Sets the newest message, as history has it. */
  renewed(id: string, last: Message | undefined): void {
    this.#stale.delete(id);
    if (last !== undefined) this.saw([last]);
  }

  /** A setting that `state` lacks is at its default, so the former settings are dropped. */
  update(id: string, state: RoomSettings): void {
    const held = this.#byId.get(id);
    if (held === undefined) return;
    const { role, seq, rev, read, peer, muted } = held;
    this.put({ ...state, role, seq, rev, read, ...(peer && { peer }), ...(muted && { muted }) });
  }

  put(room: RoomSummary): void {
    if (room.role === null) return;
    this.#hold(room, this.#byId.get(room.id)?.last);
    this.#show();
  }

  remove(id: string): void {
    this.#stale.delete(id);
    if (this.#byId.delete(id)) this.#show();
  }

  /** Takes messages in any order, live or stored. Only a message that is newer than the entry changes it. */
  saw(messages: readonly Message[]): void {
    let moved = false;
    for (const message of messages) {
      const held = this.#byId.get(message.room);
      if (held === undefined) continue;
      const last = newest(held.last, message);
      if (last === held.last && message.rev <= held.rev) continue;
      this.#hold({ ...held, ...heads(held, message) }, last);
      moved = true;
    }
    if (moved) this.#show();
  }

  /** An edit, a deletion or a reaction. */
  changed(id: string, change: Change): void {
    const held = this.#byId.get(id);
    if (held === undefined || change.rev <= held.rev) return;
    const last = held.last?.seq === change.seq ? changed(held.last, change) : held.last;
    this.#hold({ ...held, rev: change.rev }, last);
    this.#show();
  }

  read(id: string, seq: number): void {
    const held = this.#byId.get(id);
    if (held === undefined || seq <= held.read) return;
    this.#hold({ ...held, read: seq }, held.last);
    this.#show();
  }

  /** A membership of this user changed. */
  membership(change: EventData<'member'>): void {
    const held = this.#byId.get(change.room);
    if (change.role === null) this.remove(change.room);
    else if (change.summary !== undefined) this.put(change.summary);
    else if (held !== undefined) this.put({ ...held, role: change.role });
  }

  #hold(room: RoomSummary, last: Message | undefined): void {
    this.#byId.set(room.id, { ...room, unread: Math.max(0, room.seq - room.read), ...(last && { last }) });
  }

  #show(): void {
    this.#view.set([...this.#byId.values()].sort(byActivity));
  }
}

/** The number of revs that a sync reads to update a preview. */
const maxMissed = 50;

interface Heads {
  readonly seq: number;
  readonly rev: number;
}

/** The head of a room only moves forward. */
function heads(a: Heads, b: Heads): Heads {
  return { seq: Math.max(a.seq, b.seq), rev: Math.max(a.rev, b.rev) };
}

function newest(a: Message | undefined, b: Message | undefined): Message | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return b.seq > a.seq || (b.seq === a.seq && b.rev > a.rev) ? b : a;
}

function byActivity(a: RoomEntry, b: RoomEntry): number {
  return (b.last?.at ?? 0) - (a.last?.at ?? 0) || title(a).localeCompare(title(b)) || (a.id < b.id ? -1 : 1);
}

function title(room: RoomSummary): string {
  return room.name ?? room.peer?.name ?? room.id;
}
