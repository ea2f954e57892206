import type { CommandInput, CommandName, CommandOutput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import { clientLimits as limits } from '../protocol/client-limits.ts';
import type { PresenceState } from '../protocol/model.ts';
import { notify } from './readable.ts';

type Request = <C extends CommandName>(name: C, input: CommandInput<C>) => Promise<CommandOutput<C>>;
/** `state` is undefined when it is unknown: the users share no room any more, or the connection is interrupted. */
export type PresenceListener = (user: string, state: PresenceState | undefined) => void;

/** The presence of the watched users. Watches outlive connections: each new connection starts them again. */
export class Presence {
  readonly #request: Request;
  readonly #listeners = new Map<string, Set<PresenceListener>>();
  readonly #known = new Map<string, PresenceState>();
  /** Users whose watch starts or ends, collected over one turn. */
  readonly #due = new Set<string>();
  /**
   * For each pending answer: the users with an event since the request. Such an event may be handled before an older
   * answer, because answers come as promises and WebSockets of Node give several frames at once.
   */
  readonly #newer = new Set<Set<string>>();
  #connected = false;

  constructor(request: Request) {
    this.#request = request;
  }

  /** The last known state; undefined for users that are not watched or may not be seen. */
  get(user: string): PresenceState | undefined {
    return this.#known.get(user);
  }

  /**
   * Calls the listener for each user with the first known state, and at each change. A user without a shared room is
   * reported as soon as there is one.
   *
   * @returns a function that ends the watch
   * @throws {ParleyError} `limit_reached` past 1,000 users in all
   */
  watch(users: readonly string[], listener: PresenceListener): () => void {
    if (!this.#fits(users)) throw new ParleyError('limit_reached');
    const wanted = [...new Set(users)];
    const more = wanted.filter((user) => !this.#listeners.has(user));
    // Each call adds its own listener: the same function may be given twice.
    const own: PresenceListener = (user, state) => listener(user, state);
    for (const user of wanted) {
      const listeners = this.#listeners.get(user) ?? new Set();
      this.#listeners.set(user, listeners.add(own));
      const state = this.#known.get(user);
      if (state !== undefined) notify([own], user, state);
    }
    this.#plan(more);
    return () => this.#unwatch(wanted, own);
  }

  /** Like `watch`, but watches nobody if the users would exceed the limit. */
  tryWatch(users: readonly string[], listener: PresenceListener): () => void {
    return this.#fits(users) ? this.watch(users, listener) : () => undefined;
  }

  #fits(users: readonly string[]): boolean {
    return new Set([...this.#listeners.keys(), ...users]).size <= limits.presenceWatched;
  }

  connected(): void {
    this.#connected = true;
    this.#plan(this.#listeners.keys());
  }

  disconnected(): void {
    if (!this.#connected) return;
    this.#connected = false;
    const known = [...this.#known.keys()];
    this.#known.clear();
    for (const user of known) this.#notify(user);
  }

  event({ user, hidden, ...state }: EventData<'presence'>): void {
    if (!this.#listeners.has(user)) return;
    for (const newer of this.#newer) newer.add(user);
    if (hidden === true) this.#known.delete(user);
    else this.#known.set(user, state);
    this.#notify(user);
  }

  /** A user joined a room: users that could not be seen before may be visible now. */
  memberJoined(): void {
    this.#plan([...this.#listeners.keys()].filter((user) => !this.#known.has(user)));
  }

  #unwatch(users: readonly string[], listener: PresenceListener): void {
    const alone = users.filter((user) => {
      const listeners = this.#listeners.get(user);
      if (listeners?.delete(listener) !== true || listeners.size > 0) return false;
      this.#listeners.delete(user);
      this.#known.delete(user);
      return true;
    });
    this.#plan(alone);
  }

  #plan(users: Iterable<string>): void {
    if (!this.#connected) return;
    const planned = this.#due.size > 0;
    for (const user of users) this.#due.add(user);
    if (!planned && this.#due.size > 0) queueMicrotask(() => this.#send());
  }

  /** Ends come before starts, so that the server's limit holds at every moment. */
  #send(): void {
    const due = [...this.#due];
    this.#due.clear();
    const wanted = due.filter((user) => this.#listeners.has(user));
    for (const users of pages(due.filter((user) => !this.#listeners.has(user)))) {
      // A lost connection has no watches.
      this.#request('presence:unwatch', { users }).catch(() => undefined);
    }
    for (const users of pages(wanted)) {
      const newer = new Set<string>();
      this.#newer.add(newer);
      this.#request('presence:watch', { users })
        .then(
          ({ presence }) => this.#learn(presence, newer),
          // Interrupted: the next connection begins them again. Too fast: so does this one.
          (error: unknown) => this.#again(users, error),
        )
        .finally(() => this.#newer.delete(newer));
    }
  }

  #again(users: readonly string[], error: unknown): void {
    if (!(error instanceof ParleyError) || !error.retryable || !this.#connected) return;
    setTimeout(() => this.#plan(users), error.retryAfter ?? 1000);
  }

  #learn(presence: Record<string, PresenceState>, newer: ReadonlySet<string>): void {
    for (const [user, state] of Object.entries(presence)) {
      // The known state is as new as the answer, or newer: the watch had begun, and events have updated it.
      if (!this.#listeners.has(user) || this.#known.has(user)) continue;
      // An answer that is older than the end of a watch is requested again.
      if (newer.has(user)) this.#plan([user]);
      else {
        this.#known.set(user, state);
        this.#notify(user);
      }
    }
  }

  #notify(user: string): void {
    notify(this.#listeners.get(user) ?? [], user, this.#known.get(user));
  }
}

function pages(users: readonly string[]): string[][] {
  const size = limits.presenceUsers;
  return users.flatMap((_, at) => (at % size === 0 ? [users.slice(at, at + size)] : []));
}
