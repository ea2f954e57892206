/**
 * The seam of what users do: which connections are active, and which room each of them shows.
 *
 * Meaning: a client says that its connection is active, idle or in the background. Only active connections are kept, and a
 * connection that says nothing is not active. `room` is the room on the screen.
 * Guarantee: none. While the shared store is unavailable, the answer has the connections of this node alone. The connections
 * of a dead node count as active for `staleMs` at most.
 * Blocking and retries: `set` and `gone` never wait and never throw.
 */
export interface Activity {
  /** @param room undefined: no room is on the screen */
  set(user: string, session: string, state: ActivityState, room: string | undefined): void;
  /** The connection has ended. */
  gone(user: string, session: string): void;
  /** The users of these that have an active connection anywhere, with the rooms that these show. Never rejects. */
  of(users: readonly string[]): Promise<ReadonlyMap<string, ReadonlySet<string>>>;
  close(): Promise<void>;
}

export type ActivityState = 'active' | 'idle' | 'background';

export const staleMs = 45_000;

/** The active connections of this node, by user. */
export class LocalActivity {
  readonly #users = new Map<string, Map<string, string>>();

  /** @returns whether anything changed */
  set(user: string, session: string, room: string): boolean {
    const sessions = this.#users.get(user) ?? new Map<string, string>();
    if (sessions.get(session) === room) return false;
    this.#users.set(user, sessions.set(session, room));
    return true;
  }

  /** @returns whether the connection was active */
  delete(user: string, session: string): boolean {
    const sessions = this.#users.get(user);
    const was = sessions?.delete(session) === true;
    if (sessions?.size === 0) this.#users.delete(user);
    return was;
  }

  roomsOf(user: string): ReadonlySet<string> | undefined {
    const sessions = this.#users.get(user);
    return sessions && new Set(sessions.values());
  }

  *all(): IterableIterator<readonly [user: string, session: string, room: string]> {
    for (const [user, sessions] of this.#users) {
      for (const [session, room] of sessions) yield [user, session, room];
    }
  }
}

/** For a node that is alone. */
export class MemoryActivity implements Activity {
  readonly #local = new LocalActivity();

  set(user: string, session: string, state: ActivityState, room: string | undefined): void {
    if (state === 'active') this.#local.set(user, session, room ?? '');
    else this.#local.delete(user, session);
  }

  gone(user: string, session: string): void {
    this.#local.delete(user, session);
  }

  of(users: readonly string[]): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
    const found = users.flatMap((user) => {
      const rooms = this.#local.roomsOf(user);
      return rooms === undefined ? [] : [[user, rooms] as const];
    });
    return Promise.resolve(new Map(found));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
