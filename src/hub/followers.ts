/**
 * Streams that follow rooms: each is like a connection without a socket, in one room. A follower gets the events of its room
 * that have a rev, in the order of the resequencer. The node has interest in the room while a follower is there.
 *
 * A follower leaves with `remove`. The end of its membership, of its room, or of the history of the database ends it. `end` is
 * called in the turn of that change, so that the follower gets nothing after it.
 */
import type { RoomEvent } from '../fanout/fanout.ts';
import { eventLine } from '../protocol/stream-lines.ts';

/** An event as the line of a stream, made once for all followers of the room. */
export interface FollowedEvent {
  readonly rev: number;
  /** The seq of a new message; NaN: the event does not say. */
  readonly seq: number | undefined;
  readonly line: Uint8Array;
}

/** `reset`: the database went back in time. */
export type FollowerEnd = 'not_member' | 'not_found' | 'reset';

export interface Follower {
  readonly user: string;
  readonly room: string;
  /** A read of the database has found the membership. Before that the follower proves no right to read. */
  readonly isMember: boolean;
  deliver(event: FollowedEvent): void;
  /** The follower has left already. */
  end(reason: FollowerEnd): void;
}

const newSeq = /^\{"room":"[^"]*","seq":(\d+),/;

export class Followers {
  readonly #rooms = new Map<string, Set<Follower>>();
  #onChange: (room: string) => void = () => {};

  /** @param listener called when a room gets its first follower here, and after its last one has left */
  onChange(listener: (room: string) => void): void {
    this.#onChange = listener;
  }

  concerns(room: string): boolean {
    return this.#rooms.has(room);
  }

  add(follower: Follower): void {
    const { room } = follower;
    const followers = this.#rooms.get(room);
    if (followers !== undefined) {
      followers.add(follower);
      return;
    }
    this.#rooms.set(room, new Set([follower]));
    this.#onChange(room);
  }

  remove(follower: Follower): void {
    const { room } = follower;
    const followers = this.#rooms.get(room);
    if (followers?.delete(follower) !== true || followers.size > 0) return;
    this.#rooms.delete(room);
    this.#onChange(room);
  }

  /** @param event with a rev, in rev order */
  deliver({ room, event, rev, json }: RoomEvent): void {
    const followers = this.#rooms.get(room);
    if (followers === undefined || rev === undefined) return;
    const text = eventLine(event, rev, json);
    if (text === undefined) return;
    const seq = event === 'message' ? Number(newSeq.exec(json)?.[1]) : undefined;
    const followed = { rev, seq, line: Buffer.from(text) };
    for (const follower of followers) follower.deliver(followed);
  }

  /** The user is no longer a member of the room. */
  left(user: string, room: string): void {
    this.#end(this.#in(room, user), 'not_member');
  }

  /** The room was deleted. */
  closed(room: string): void {
    this.#end(this.#in(room), 'not_found');
  }

  /** The database went back in time. */
  forget(): void {
    this.#end(
      [...this.#rooms.values()].flatMap((followers) => [...followers]),
      'reset',
    );
  }

  /** Whether the user is known to be a member by a stream here. */
  isInside(user: string, room: string): boolean {
    return this.#rooms.size > 0 && this.#in(room, user).some(({ isMember }) => isMember);
  }

  usersIn(room: string): string[] {
    return this.#in(room).map(({ user }) => user);
  }

  *joined(): Generator<{ readonly user: string; readonly room: string }> {
    for (const followers of this.#rooms.values()) yield* followers;
  }

  #in(room: string, user?: string): Follower[] {
    const all = [...(this.#rooms.get(room) ?? [])];
    return user === undefined ? all : all.filter((one) => one.user === user);
  }

  #end(followers: readonly Follower[], reason: FollowerEnd): void {
    for (const follower of followers) {
      this.remove(follower);
      follower.end(reason);
    }
  }
}
