/**
 * The seam between "this node has connections of a user" and "the user is online, wherever".
 *
 * Meaning: a user is online while any node has a connection of the user; `lastSeen` is when the last one ended.
 * Order: changes of one user arrive in the order in which they happened; those of two users in any.
 * Guarantee: at most once. After `reset` changes may have been missed: `read` gives the present state. The changes of a dead
 * node's users come at most 12 s later. Data that the shared store lost is written again within 12 s, without a change for
 * each user. Therefore a listener compares its state with `check` in rounds.
 * Atomicity: if several nodes see a user come or go at once, exactly one change goes out, for the first arrival or the last
 * departure. Changes are raw: a listener that hides short absences waits by itself (known-presence.ts).
 * Blocking and retries: `arrived` and `left` never wait and never throw. A state that could not be written is written as
 * soon as that is possible again. Meanwhile this node reports its own users' changes to its listener.
 */
export interface Presence {
  /** A connection of the user is ready on this node. */
  arrived(user: string): void;
  /** One that had arrived is gone. */
  left(user: string): void;
  /** One entry for each user, in order. While the shared store is unavailable: the state of this node. Never rejects. */
  read(users: readonly string[]): Promise<UserPresence[]>;
  /** The same, but undefined while the shared store is unavailable. */
  check(users: readonly string[]): Promise<UserPresence[] | undefined>;
  /** These users seem gone without a change: a node with any of them writes them again. Never throws. */
  doubt(users: readonly string[]): void;
  /** For how long presence keeps the moment at which a user was there last, in milliseconds. */
  readonly rememberedMs: number;
  /** Users with connections on this node. */
  readonly localUsers: number;
  /** Removes this node's users, as if their connections had ended. */
  close(): Promise<void>;
}

export interface UserPresence {
  readonly online: boolean;
  /** Milliseconds since 1970, when they are offline and it is still known. */
  readonly lastSeen?: number;
  /** How long ago that was, in milliseconds, by one clock for all nodes. */
  readonly agoMs?: number;
}

export interface Change extends UserPresence {
  readonly user: string;
}

export interface PresenceListener {
  changed(changes: readonly Change[]): void;
  /** Changes may have been missed: the listener reads the present state. */
  reset(): void;
}
