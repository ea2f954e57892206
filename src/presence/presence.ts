/**
 * The seam between "this node has connections of a user" and "the user is online, wherever".
 *
 * Meaning: a user is online while any node has a connection of theirs; `lastSeen` is when the last one ended.
 * Order: changes of one user arrive in the order in which they happened; those of two users in any.
 * Guarantee: at most once. After `reset` something may have been missed: `read` tells what holds now. Nodes that died
 * are noticed: their users' changes come at most 12 s later. Whatever the shared store lost is written again within 12 s,
 * without a change for each user; therefore a listener compares what it knows with `check` now and then.
 * Atomicity: of several nodes that see a user come or go at once exactly one change goes out, for the first that came or
 * the last that left. A change is told raw: who wants short absences to go unnoticed waits (see Watching).
 * Blocking and retries: `arrived` and `left` never wait and never throw; what could not be passed on is passed on when
 * that is possible again, as it is then. Meanwhile this node tells what it knows by itself, about its own users.
 */
export interface Presence {
  /** A connection of the user is ready on this node. */
  arrived(user: string): void;
  /** One that had arrived is gone. */
  left(user: string): void;
  /** One entry for each user, in order. While others cannot be asked: what this node knows by itself. Never rejects. */
  read(users: readonly string[]): Promise<Standing[]>;
  /** The same, but undefined while other nodes cannot be asked. */
  check(users: readonly string[]): Promise<Standing[] | undefined>;
  /** These users seem gone, and no change said so: a node that has any of them writes them down again. Never throws. */
  doubt(users: readonly string[]): void;
  /** For how long it is known when a user was there last, in milliseconds. */
  readonly rememberedMs: number;
  /** Users with connections on this node. */
  readonly localUsers: number;
  /** Takes this node's users off, as if their connections had ended. */
  close(): Promise<void>;
}

export interface Standing {
  readonly online: boolean;
  /** Milliseconds since 1970, when they are offline and it is still known. */
  readonly lastSeen?: number;
  /** How long ago that was, in milliseconds, by one clock for all nodes. */
  readonly agoMs?: number;
}

export interface Change extends Standing {
  readonly user: string;
}

export interface PresenceListener {
  changed(changes: readonly Change[]): void;
  /** Changes may have been missed: what is known must be read again. */
  reset(): void;
}
