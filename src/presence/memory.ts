import { LocalUsers } from './local-users.ts';
import type { Presence, PresenceListener, UserPresence } from './presence.ts';

/** Users whose last moment is kept; the users who left longest ago are forgotten first. About 10 MB. */
const maxRemembered = 100_000;

/** Presence of a node that is alone. */
export class MemoryPresence implements Presence {
  readonly #listener: PresenceListener;
  readonly #users = new LocalUsers();
  readonly #seen = new Map<string, number>();
  readonly #maxRemembered: number;
  readonly #began = performance.now();

  constructor(listener: PresenceListener, options: { maxRemembered?: number } = {}) {
    this.#listener = listener;
    this.#maxRemembered = options.maxRemembered ?? maxRemembered;
  }

  arrived(user: string): void {
    if (this.#users.add(user)) this.#listener.changed([{ user, online: true }]);
  }

  left(user: string): void {
    if (!this.#users.remove(user)) return;
    this.#remember(user);
    this.#listener.changed([{ user, ...this.#stateOf(user) }]);
  }

  read(users: readonly string[]): Promise<UserPresence[]> {
    return Promise.resolve(users.map((user) => this.#stateOf(user)));
  }

  check(users: readonly string[]): Promise<UserPresence[]> {
    return this.read(users);
  }

  doubt(): void {}

  get rememberedMs(): number {
    return performance.now() - this.#began;
  }

  get localUsers(): number {
    return this.#users.size;
  }

  close(): Promise<void> {
    this.#users.clear();
    return Promise.resolve();
  }

  #stateOf(user: string): UserPresence {
    if (this.#users.has(user)) return { online: true };
    const lastSeen = this.#seen.get(user);
    return lastSeen === undefined ? { online: false } : { online: false, lastSeen, agoMs: Date.now() - lastSeen };
  }

  #remember(user: string): void {
    this.#seen.delete(user);
    this.#seen.set(user, Date.now());
    if (this.#seen.size <= this.#maxRemembered) return;
    const oldest = this.#seen.keys().next();
    if (!oldest.done) this.#seen.delete(oldest.value);
  }
}
