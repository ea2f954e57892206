/** Tells local members of rooms whose settings changed, of what this node was not told (Pub/Sub may lose it). */
import type { Envelope, RoomEvent } from '../fanout/fanout.ts';
import type { RoomChangePage } from '../messaging/room-changes.ts';

export interface RoomStateSource {
  cursor(): Promise<string>;
  roomChanges(cursor: string): Promise<RoomChangePage>;
}

/** The part of `Connections` that it works on. */
export interface LocalRooms {
  hasHeard(event: RoomEvent): boolean;
  receive(envelopes: readonly Envelope[]): void;
}

export class RoomStateSync {
  readonly #source: RoomStateSource;
  readonly #connections: LocalRooms;
  #cursor: string | undefined = undefined;

  constructor(source: RoomStateSource, connections: LocalRooms) {
    this.#source = source;
    this.#connections = connections;
  }

  /** From here on changes are followed; before any connection comes. */
  async start(): Promise<void> {
    this.#cursor = await this.#source.cursor();
  }

  /**
   * A state that was read while a newer one was told goes out after it; the newer one's row is read by the next step,
   * and tells it again.
   */
  async step(): Promise<void> {
    const { cursor, events } = await this.#source.roomChanges(this.#cursor ?? (await this.#source.cursor()));
    this.#connections.receive(events.filter((event) => !this.#connections.hasHeard(event)));
    this.#cursor = cursor;
  }
}
