import type { CommandInput, CommandName, CommandOutput } from '../protocol/commands.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { EventData } from '../protocol/events.ts';
import { clientLimits as limits } from '../protocol/client-limits.ts';
import type { PresenceState } from '../protocol/model.ts';
import { tell } from './readable.ts';

type Request = <C extends CommandName>(name: C, input: CommandInput<C>) => Promise<CommandOutput<C>>;
/** `state` is undefined when it cannot be known: no room is shared any more, or the connection is interrupted. */
export type PresenceListener = (user: string, state: PresenceState | undefined) => void;

/** Who of the watched users is there. Watches outlive connections: they are begun again on each. */
export class Presence {
  readonly #request: Request;
  readonly #listeners = new Map<string, Set<PresenceListener>>();
  readonly #known = new Map<string, PresenceState>();
  /** Users whose watch is to be begun or ended, gathered over one turn. */
  readonly #due = new Set<string>();
  /**
   * For each answer that is awaited, of whom there was an event since: it may be read before an older answer, for answers
   * come as promises and WebSockets of Node give several frames at once.
   */
  readonly #newer = new Set<Set<string>>();
  #connected = false;

  constructor(request: Request) {
    this.#request = request;
  }

  /** What was told last; undefined for users who are not watched, or may not be seen. */
  get(user: string): PresenceState | undefined {
    return this.#known.get(user);
  }

  /**
   * Calls the listener for each user as soon as it is known whether they are there, and at each change. Users with whom no
   * room is shared are told when one is.
   * @returns what ends it. @throws {ParleyError} `limit_reached` past 1,000 users in all.
   */
  watch(users: readonly string[], listener: PresenceListener): () => void {
    if (!this.#fits(users)) throw new ParleyError('limit_reached');
    const wanted = [...new Set(users)];
    const more = wanted.filter((user) => !this.#listeners.has(user));
    // a listener of its own for each call: the same function may be given twice
    const own: PresenceListener = (user, state) => listener(user, state);
    for (const user of wanted) {
      const listeners = this.#listeners.get(user) ?? new Set();
      this.#listeners.set(user, listeners.add(own));
      const state = this.#known.get(user);
      if (state !== undefined) tell([own], user, state);
    }
    this.#plan(more);
    return () => this.#unwatch(wanted, own);
  }

  /** As `watch`; where there is no room for so many, nobody of them is watched. */
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
    for (const user of known) this.#tell(user);
  }

  event({ user, hidden, ...state }: EventData<'presence'>): void {
    if (!this.#listeners.has(user)) return;
    for (const newer of this.#newer) newer.add(user);
    if (hidden === true) this.#known.delete(user);
    else this.#known.set(user, state);
    this.#tell(user);
  }

  /** Somebody came into a room: who could not be seen before may be now. */
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

  /** The ends before the beginnings, so that the server's limit is kept on the way. */
  #send(): void {
    const due = [...this.#due];
    this.#due.clear();
    const wanted = due.filter((user) => this.#listeners.has(user));
    for (const users of pages(due.filter((user) => !this.#listeners.has(user)))) {
      // a connection that went has no watches
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
      // what is known is as new as the answer, or newer: the watch had begun, and events have kept it so
      if (!this.#listeners.has(user) || this.#known.has(user)) continue;
      // one that ended a watch may be older
      if (newer.has(user)) this.#plan([user]);
      else {
        this.#known.set(user, state);
        this.#tell(user);
      }
    }
  }

  #tell(user: string): void {
    tell(this.#listeners.get(user) ?? [], user, this.#known.get(user));
  }
}

function pages(users: readonly string[]): string[][] {
  const size = limits.presenceUsers;
  return users.flatMap((_, at) => (at % size === 0 ? [users.slice(at, at + size)] : []));
}
