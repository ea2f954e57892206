/** The rooms that are ours, with what a list of them shows: fed by `ready`, by events and by our own commands. */
import type { EventData } from '../protocol/events.ts';
import type { Message, RoomSummary } from '../protocol/model.ts';
import { changed } from './merge.ts';
import type { Change } from './merge.ts';
import { Cell } from './readable.ts';
import type { Readable } from './readable.ts';

export interface RoomEntry extends RoomSummary {
  readonly unread: number;
  /** Its newest message, as far as one was seen. */
  readonly last?: Message;
}

/** Those of another tab, and stored ones, tell their newest message too. */
type Told = RoomSummary & { readonly last?: Message };

export class RoomList {
  readonly #byId = new Map<string, RoomEntry>();
  /** As it was at the last `replace`, without those that were told anew since. */
  #before = new Map<string, RoomEntry>();
  /** Revs up to which `last` is true, of rooms that moved while we were away. */
  readonly #stale = new Map<string, number>();
  readonly #view = new Cell<readonly RoomEntry[]>([]);

  /** By last activity, newest first; rooms without any by name. */
  get entries(): Readable<readonly RoomEntry[]> {
    return this.#view;
  }

  get(id: string): RoomEntry | undefined {
    return this.#byId.get(id);
  }

  /** What it holds is of another history. */
  clear(): void {
    this.#byId.clear();
    this.#stale.clear();
  }

  /** The list anew. @param more these are the first of them: `add` brings the rest */
  replace(rooms: readonly Told[], more = false): void {
    this.#before = new Map(this.#byId);
    this.add(rooms, more);
  }

  /**
   * What has changed or come since `replace` is live, and newer than a page may be. The rest is as the page has it, also
   * where it goes back: a server may have been restored. What no page had is gone with the last one.
   */
  add(rooms: readonly Told[], more: boolean): void {
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

  /** What to ask for so that `last` is the newest message, as it is now: rooms with the rev to sync from. */
  unseen(): { id: string; rev: number }[] {
    return this.#view.value.flatMap(({ id, seq, rev, last }) => {
      const since = this.#stale.get(id);
      if (rev === 0 || (last?.seq === seq && since === undefined)) return [];
      // mostly the newest message is the last change; where many were missed it is not looked for among them
      return [{ id, rev: since !== undefined && rev - since <= maxMissed ? since : rev - 1 }];
    });
  }

  /** What `unseen` asked for has come. @returns whether `last` is the newest message, as it is now */
  refreshed(id: string, from: number): boolean {
    const held = this.#byId.get(id);
    const known = held?.last?.seq === held?.seq && from <= (this.#stale.get(id) ?? Infinity);
    if (known) this.#stale.delete(id);
    return known;
  }

  /** The newest message as history has it. */
  renewed(id: string, last: Message | undefined): void {
    this.#stale.delete(id);
    if (last !== undefined) this.saw([last]);
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

  /** Messages in any order, live or stored. Only what is newer than the entry changes it. */
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

  /** A membership of ours changed. */
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

/** Revs of a room that are asked for to bring its preview up to date. */
const maxMissed = 50;

interface Heads {
  readonly seq: number;
  readonly rev: number;
}

/** A room's only move on. */
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
