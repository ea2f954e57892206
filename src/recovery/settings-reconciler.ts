/** Tells local members of rooms whose settings changed, of what this node was not told (see anti-entropy.ts). */
import type { Envelope, RoomEvent } from '../fanout/fanout.ts';
import type { RoomChangePage } from '../rooms/settings-changes.ts';

export interface RoomStateSource {
  cursor(): Promise<string>;
  roomChanges(cursor: string): Promise<RoomChangePage>;
}

/** The part of `FanoutReceiver` that it works on. */
export interface SubscribedRooms {
  hasHeard(event: RoomEvent): boolean;
  receive(envelopes: readonly Envelope[]): void;
}

export class SettingsReconciler {
  readonly #source: RoomStateSource;
  readonly #rooms: SubscribedRooms;
  #cursor: string | undefined = undefined;

  constructor(source: RoomStateSource, rooms: SubscribedRooms) {
    this.#source = source;
    this.#rooms = rooms;
  }

  /** From here on changes are followed; before any connection comes. */
  async start(): Promise<void> {
    this.#cursor = await this.#source.cursor();
  }

  /** The database went back in time: changes are followed from the next step on. */
  restart(): void {
    this.#cursor = undefined;
  }

  /**
   * A state that was read while a newer one was told goes out after it; the newer one's row is read by the next step,
   * and tells it again.
   */
  async step(): Promise<void> {
    const { cursor, events } = await this.#source.roomChanges(this.#cursor ?? (await this.#source.cursor()));
    this.#rooms.receive(events.filter((event) => !this.#rooms.hasHeard(event)));
    this.#cursor = cursor;
  }
}
