/** Who is typing in one room, and telling the others that we are. Carried by signals: not stored, may be lost. */
import { isObject } from './wire.ts';

/** The name of the signal. Its data is `{on: boolean}`. */
export const typingSignal = 'typing';
/** A typist says so again this often; one who has said nothing for `forgetMs` has gone, or the signal was lost. */
const repeatMs = 3000;
const forgetMs = 6000;
/** People named at once; a signal costs nothing to send, a timer for each of thousands does. */
const maxTypists = 20;

export class Typing {
  readonly #tell: (on: boolean) => void;
  readonly #changed: (users: readonly string[]) => void;
  readonly #others = new Map<string, ReturnType<typeof setTimeout>>();
  #toldAt = 0;

  constructor(tell: (on: boolean) => void, changed: (users: readonly string[]) => void) {
    this.#tell = tell;
    this.#changed = changed;
  }

  /** Call it on each keystroke; it speaks at most every three seconds. */
  mine(): void {
    if (Date.now() - this.#toldAt < repeatMs) return;
    this.#toldAt = Date.now();
    this.#tell(true);
  }

  /** The text was sent or emptied. */
  mineEnded(sent: boolean): void {
    if (this.#toldAt === 0) return;
    this.#toldAt = 0;
    // A message ends it by itself for those who get it.
    if (!sent) this.#tell(false);
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
    this.#toldAt = 0;
    if (this.#others.size === 0) return;
    this.#others.clear();
    this.#changed([]);
  }
}
