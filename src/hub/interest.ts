import type { Fanout } from '../fanout/fanout.ts';
import type { Connection } from './connection.ts';
import type { Topics } from '../transport/engineio/topics.ts';
import type { Resequencer } from '../recovery/resequencer.ts';
import { roomOfTopic, roomTopics } from './room-topics.ts';
import type { Followers } from './followers.ts';
import type { OffRooms } from './off-rooms.ts';

export interface InterestParts {
  readonly topics: Topics;
  readonly offRooms: OffRooms;
  readonly followers: Pick<Followers, 'concerns' | 'onChange'>;
  readonly resequencer: Resequencer;
  readonly fanout: Fanout;
  /** Forgets rooms that this node has no interest in. */
  readonly replay: { forget(room: string): void };
}

/**
 * The interest of the node: rooms with connections here, on their topics or off them because they are slow, and rooms that
 * streams follow. Fan-out brings the events of these rooms to this node.
 *
 * States of a room: *vacant*, without connections and followers. The first one makes it *requested*: fan-out subscribes to its
 * events. *Reached*: its events reach this node. The last one that leaves makes it vacant again.
 */
export class Interest {
  readonly #parts: InterestParts;
  /** Requested rooms, with the promise that fan-out gave for each. */
  readonly #requested = new Map<string, Promise<void>>();

  constructor(parts: InterestParts) {
    this.#parts = parts;
    parts.topics.onChange((topic, occupied) => this.#topicChanged(topic, occupied));
    parts.followers.onChange((room) => this.settled(room));
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

  /** A connection that was off the room, or a follower, came or left. */
  settled(room: string): void {
    this.#changed(room, this.#isOccupied(room));
  }

  /** Resolves when events of all of the connection's rooms reach this node. */
  async reached(connection: Connection): Promise<void> {
    if (this.#requested.size === 0) return;
    const topics = connection.wire?.getTopics() ?? [];
    await Promise.all(topics.flatMap((topic) => this.#requested.get(roomOfTopic(topic) ?? '') ?? []));
  }

  /** Resolves when events of the room reach this node. */
  async roomReached(room: string): Promise<void> {
    await this.#requested.get(room);
  }

  /** @param but a topic that is known to be empty */
  #isOccupied(room: string, but?: string): boolean {
    const { offRooms, followers, topics } = this.#parts;
    if (offRooms.concerns(room) || followers.concerns(room)) return true;
    return roomTopics(room).some((topic) => topic !== but && topics.subscribers(topic) > 0);
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
