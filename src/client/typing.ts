/**
 * The users that are typing in one room, and this user's own typing. Signals carry both: they are not stored and may be
 * lost.
 */
import { isObject } from './wire.ts';

/** The name of the signal. Its data is `{on: boolean}`. */
export const typingSignal = 'typing';
/** The signal is repeated this often. A user without a signal for `forgetMs` has stopped, or the signal was lost. */
const repeatMs = 3000;
const forgetMs = 6000;
/**
 * The number of users that are shown. A signal costs nothing to send, but a timer for each of thousands of users does.
 */
const maxTypists = 20;

export class Typing {
  readonly #send: (on: boolean) => void;
  readonly #changed: (users: readonly string[]) => void;
  readonly #others = new Map<string, ReturnType<typeof setTimeout>>();
  #sentAt = 0;

  constructor(send: (on: boolean) => void, changed: (users: readonly string[]) => void) {
    this.#send = send;
    this.#changed = changed;
  }

  /** Call it on each keystroke; a signal leaves at most every three seconds. */
  mine(): void {
    if (Date.now() - this.#sentAt < repeatMs) return;
    this.#sentAt = Date.now();
    this.#send(true);
  }

  /** The text was sent or emptied. */
  mineEnded(sent: boolean): void {
    if (this.#sentAt === 0) return;
    this.#sentAt = 0;
    // The message itself ends the typing for its recipients.
    if (!sent) this.#send(false);
  }

  signalled(user: string, data: unknown): void {
    const on = isObject(data) ? data['on'] !== false : true;
    if (!on) return this.ended(user);
    const known = this.#others.get(user);
    if (known === undefined && this.#others.size >= maxTypists) return;
    clearTimeout(known);
    this.#others.set(
      user,
      setTimeout(() => this.ended(user), forgetMs),
    );
    if (known === undefined) this.#changed([...this.#others.keys()]);
  }

  ended(user: string): void {
    clearTimeout(this.#others.get(user));
    if (this.#others.delete(user)) this.#changed([...this.#others.keys()]);
  }

  stop(): void {
    for (const timer of this.#others.values()) clearTimeout(timer);
    this.#sentAt = 0;
    if (this.#others.size === 0) return;
    this.#others.clear();
    this.#changed([]);
  }
}
