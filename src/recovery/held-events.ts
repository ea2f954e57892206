import type { RoomEvent } from '../fanout/fanout.ts';

export interface HeldLimits {
  readonly heldEventsPerRoom: number;
  readonly heldBytesPerRoom: number;
  /** Over all rooms. */
  readonly heldBytes: number;
}

/** The held events of one room, in rev order. */
export interface HeldOfRoom {
  readonly events: RoomEvent[];
  bytes: number;
}

/** Counts and bounds the events that rooms hold after a gap. */
export class HeldEvents {
  readonly #limits: HeldLimits;
  #bytes = 0;
  #count = 0;

  constructor(limits: HeldLimits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#count;
  }

  /** @returns `held`, or the reason why the event is not held */
  add(room: HeldOfRoom, event: RoomEvent, rev: number): 'held' | 'duplicate' | 'limit' {
    const { events } = room;
    let at = events.length;
    while (at > 0 && (events[at - 1]?.rev ?? 0) > rev) at--;
    if (events[at - 1]?.rev === rev) return 'duplicate';
    const bytes = event.json.length;
    const { heldEventsPerRoom, heldBytesPerRoom, heldBytes } = this.#limits;
    const fits = events.length < heldEventsPerRoom && room.bytes + bytes <= heldBytesPerRoom;
    if (!fits || this.#bytes + bytes > heldBytes) return 'limit';
    events.splice(at, 0, event);
    room.bytes += bytes;
    this.#bytes += bytes;
    this.#count++;
    return 'held';
  }

  /** Removes the first events of the room, by default all. */
  release(room: HeldOfRoom, count = room.events.length): readonly RoomEvent[] {
    const released = room.events.splice(0, count);
    const bytes = released.reduce((sum, { json }) => sum + json.length, 0);
    room.bytes -= bytes;
    this.#bytes -= bytes;
    this.#count -= released.length;
    return released;
  }
}
