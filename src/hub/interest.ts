import type { Fanout } from '../fanout/fanout.ts';
import type { Connection } from './connection.ts';
import type { Topics } from '../transport/engineio/topics.ts';
import type { Resequencer } from '../recovery/resequencer.ts';
import { roomOfTopic, roomTopics } from './room-topics.ts';
import type { OffRooms } from './off-rooms.ts';

export interface InterestParts {
  readonly topics: Topics;
  readonly offRooms: OffRooms;
  readonly resequencer: Resequencer;
  readonly fanout: Fanout;
  /** Forgets rooms without connections. */
  readonly replay: { forget(room: string): void };
}

/**
 * The interest of the node: rooms with connections here, on their topics or off them because they are slow. Fan-out brings
 * the events of these rooms to this node.
 *
 * States of a room: *vacant*, without connections. The first connection makes it *requested*: fan-out subscribes to its
 * events. *Reached*: its events reach this node. The last connection that leaves makes it vacant again.
 */
export class Interest {
  readonly #parts: InterestParts;
  /** Requested rooms, with the promise that fan-out gave for each. */
  readonly #requested = new Map<string, Promise<void>>();

  constructor(parts: InterestParts) {
    this.#parts = parts;
    parts.topics.onChange((topic, occupied) => this.#topicChanged(topic, occupied));
  }

  has(room: string): boolean {
    return this.#parts.resequencer.has(room);
  }

  rooms(): string[] {
    return this.#parts.resequencer.rooms();
  }

  /** A topic got its first subscriber, or lost its last one. uWS may not count that yet. */
  #topicChanged(topic: string, occupied: boolean): void {
    const room = roomOfTopic(topic);
    if (room !== undefined) this.#changed(room, occupied || this.#isOccupied(room, topic));
  }

  /** No connection is off the room any more. */
  settled(room: string): void {
    this.#changed(room, this.#isOccupied(room));
  }

  /** Resolves when events of all of the connection's rooms reach this node. */
  async reached(connection: Connection): Promise<void> {
    if (this.#requested.size === 0) return;
    const topics = connection.wire?.getTopics() ?? [];
    await Promise.all(topics.flatMap((topic) => this.#requested.get(roomOfTopic(topic) ?? '') ?? []));
  }

  /** @param but a topic that is known to be empty */
  #isOccupied(room: string, but?: string): boolean {
    const { offRooms, topics } = this.#parts;
    return offRooms.concerns(room) || roomTopics(room).some((topic) => topic !== but && topics.subscribers(topic) > 0);
  }

  #changed(room: string, occupied: boolean): void {
    const { resequencer, replay, fanout } = this.#parts;
    if (occupied === resequencer.has(room)) return;
    if (!occupied) {
      resequencer.remove(room);
      replay.forget(room);
      this.#requested.delete(room);
      fanout.vacated(room);
      return;
    }
    resequencer.add(room);
    const reached = fanout.occupied(room);
    if (fanout.others === undefined) return;
    this.#requested.set(room, reached);
    void reached.then(() => {
      if (this.#requested.get(room) !== reached) return;
      this.#requested.delete(room);
      // a client may have got a head before, and this node may lack the events after that head
      resequencer.recheck(room);
    });
  }
}
