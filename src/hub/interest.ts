import type { Fanout } from '../fanout/fanout.ts';
import type { Connection } from './connection.ts';
import type { Topics } from '../transport/engineio/topics.ts';
import type { Resequencer } from '../recovery/resequencer.ts';
import { roomOfTopic, roomTopics } from './room-topics.ts';
import type { OffRooms } from './off-rooms.ts';

export interface InterestParts {
  readonly topics: Topics;
  readonly off: OffRooms;
  readonly order: Resequencer;
  readonly fanout: Fanout;
  /** Told of rooms that nobody is in any more. */
  readonly replay: { forget(room: string): void };
}

/**
 * Which rooms have connections here: on their topics, or off them for being slow. Events of these alone come to this
 * node; to the others' senders it says so, and when it is heard.
 */
export class Interest {
  readonly #parts: InterestParts;
  /** Rooms whose events may not reach this node yet. */
  readonly #standing = new Map<string, Promise<void>>();

  constructor(parts: InterestParts) {
    this.#parts = parts;
    parts.topics.onChange((topic, occupied) => this.#topicChanged(topic, occupied));
  }

  has(room: string): boolean {
    return this.#parts.order.has(room);
  }

  rooms(): string[] {
    return this.#parts.order.rooms();
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
  async standing(connection: Connection): Promise<void> {
    if (this.#standing.size === 0) return;
    const topics = connection.wire?.getTopics() ?? [];
    await Promise.all(topics.flatMap((topic) => this.#standing.get(roomOfTopic(topic) ?? '') ?? []));
  }

  /** @param but a topic that is known to be empty. */
  #isOccupied(room: string, but?: string): boolean {
    const { off, topics } = this.#parts;
    return off.concerns(room) || roomTopics(room).some((topic) => topic !== but && topics.subscribers(topic) > 0);
  }

  #changed(room: string, occupied: boolean): void {
    const { order, replay, fanout } = this.#parts;
    if (occupied === order.has(room)) return;
    if (!occupied) {
      order.remove(room);
      replay.forget(room);
      this.#standing.delete(room);
      fanout.vacated(room);
      return;
    }
    order.add(room);
    const standing = fanout.occupied(room);
    if (fanout.others === undefined) return;
    this.#standing.set(room, standing);
    void standing.then(() => {
      if (this.#standing.get(room) !== standing) return;
      this.#standing.delete(room);
      // somebody may have been told a head before
      order.recheck(room);
    });
  }
}
