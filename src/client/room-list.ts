/** The rooms that are ours, with what a list of them shows: fed by `ready`, by events and by our own commands. */
import type { EventData } from '../protocol/events.ts';
import type { Message, RoomSummary } from '../protocol/model.ts';
import { Cell } from './store.ts';
import type { Store } from './store.ts';

export interface RoomEntry extends RoomSummary {
  readonly unread: number;
  /** Its newest message, as far as one was seen. */
  readonly last?: Message;
}

export class RoomList {
  readonly #byId = new Map<string, RoomEntry>();
  readonly #view = new Cell<readonly RoomEntry[]>([]);

  /** By last activity, newest first; rooms without any by name. */
  get entries(): Store<readonly RoomEntry[]> {
    return this.#view;
  }

  get(id: string): RoomEntry | undefined {
    return this.#byId.get(id);
  }

  replace(rooms: readonly RoomSummary[]): void {
    const previous = new Map(this.#byId);
    this.#byId.clear();
    for (const room of rooms) this.#byId.set(room.id, entry(room, previous.get(room.id)?.last));
    this.#show();
  }

  put(room: RoomSummary): void {
    if (room.role === null) return;
    this.#byId.set(room.id, entry(room, this.#byId.get(room.id)?.last));
    this.#show();
  }

  remove(id: string): void {
    if (this.#byId.delete(id)) this.#show();
  }

  /** Messages in any order, live or stored. Only what is newer than the entry changes it. */
  saw(messages: readonly Message[]): void {
    let changed = false;
    for (const message of messages) {
      const held = this.#byId.get(message.room);
      if (held === undefined) continue;
      const newer =
        message.seq > (held.last?.seq ?? 0) || (message.seq === held.last?.seq && message.rev > held.last.rev);
      if (!newer && message.rev <= held.rev) continue;
      const heads = { seq: Math.max(held.seq, message.seq), rev: Math.max(held.rev, message.rev) };
      this.#byId.set(message.room, entry({ ...held, ...heads }, newer ? message : held.last));
      changed = true;
    }
    if (changed) this.#show();
  }

  read(id: string, seq: number): void {
    const held = this.#byId.get(id);
    if (held === undefined || seq <= held.read) return;
    this.#byId.set(id, entry({ ...held, read: seq }, held.last));
    this.#show();
  }

  /** A membership of ours changed. */
  membership(change: EventData<'member'>): void {
    const held = this.#byId.get(change.room);
    if (change.role === null) this.remove(change.room);
    else if (change.summary !== undefined) this.put(change.summary);
    else if (held !== undefined) this.put({ ...held, role: change.role });
  }

  #show(): void {
    this.#view.set([...this.#byId.values()].sort(byActivity));
  }
}

function entry(room: RoomSummary, last: Message | undefined): RoomEntry {
  const full = { ...room, unread: Math.max(0, room.seq - room.read) };
  return last === undefined ? full : { ...full, last };
}

function byActivity(a: RoomEntry, b: RoomEntry): number {
  return (b.last?.at ?? 0) - (a.last?.at ?? 0) || title(a).localeCompare(title(b)) || (a.id < b.id ? -1 : 1);
}

function title(room: RoomSummary): string {
  return room.name ?? room.peer?.name ?? room.id;
}
