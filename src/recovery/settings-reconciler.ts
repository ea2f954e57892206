/** Delivers changed settings of rooms whose events fan-out lost (see anti-entropy.ts). */
import type { Envelope, RoomEvent } from '../fanout/fanout.ts';
import type { RoomChangePage } from '../rooms/settings-changes.ts';

export interface RoomStateSource {
  cursor(): Promise<string>;
  roomChanges(cursor: string): Promise<RoomChangePage>;
}

/** The part of `FanoutReceiver` that the reconciler works on. */
export interface SubscribedRooms {
  hasDelivered(event: RoomEvent): boolean;
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

  /** Changes are followed from here on. The call comes before any connection. */
  async start(): Promise<void> {
    this.#cursor = await this.#source.cursor();
  }

  /** The database went back in time: changes are followed from the next step on. */
  restart(): void {
    this.#cursor = undefined;
  }

  /**
   * Delivers the settings that changed since the last step. A newer event may come during the read; the older settings are
   * then delivered after it. The next step reads the newer row and delivers it again.
   */
  async step(): Promise<void> {
    const { cursor, events } = await this.#source.roomChanges(this.#cursor ?? (await this.#source.cursor()));
    this.#rooms.receive(events.filter((event) => !this.#rooms.hasDelivered(event)));
    this.#cursor = cursor;
  }
}
