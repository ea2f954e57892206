/** The members of one room and their presence: loaded for the first listener, and updated while there is one. */
import type { EventData } from '../protocol/events.ts';
import type { Member, PresenceState } from '../protocol/model.ts';
import { asParleyError } from './failure.ts';
import type { Presence } from './presence.ts';
import { Cell } from './readable.ts';

const gatherMs = 500;
/** The first members of a larger room are watched, in the order of the list. */
const maxWatched = 200;

export class Members {
  readonly list: Cell<readonly Member[]>;
  readonly presence: Cell<ReadonlyMap<string, PresenceState>>;
  readonly #load: () => Promise<readonly Member[]>;
  #wanted = false;
  /** The number of the last request; answers to earlier ones are dropped. */
  #request = 0;
  #answered = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(load: () => Promise<readonly Member[]>, presence: Presence) {
    this.#load = load;
    this.list = new Cell<readonly Member[]>([], () => {
      this.#wanted = true;
      this.reload();
      return () => this.stop();
    });
    this.presence = new Cell<ReadonlyMap<string, PresenceState>>(new Map(), () => this.#watch(presence));
  }

  /** @param delay joins come in bursts; one request serves all of them */
  reload(delay = 0): void {
    if (!this.#wanted || (delay > 0 && this.#timer !== undefined)) return;
    clearTimeout(this.#timer);
    const request = (this.#request += 1);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#load().then(
        (list) => {
          if (request !== this.#request) return;
          this.#answered = request;
          this.list.set(list);
        },
        (thrown: unknown) => {
          const error = asParleyError(thrown);
          // Otherwise the user is not a member, and the state of the room shows that.
          if (error.retryable && request === this.#request) this.reload(error.retryAfter ?? 5000);
        },
      );
    }, delay);
  }

  stop(): void {
    this.#wanted = false;
    this.#request += 1;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  changed({ user, role, change }: EventData<'member'>): void {
    if (change === 'joined' || role === null) this.list.set(this.list.value.filter((one) => one.user !== user));
    // An answer that is under way may be older than this event.
    if (change === 'joined' || this.#answered !== this.#request) this.reload(gatherMs);
    else if (role !== null) this.#patch(user, { role });
  }

  read({ user, seq }: EventData<'read'>): void {
    const held = this.list.value.find((one) => one.user === user);
    if (held !== undefined && held.read < seq) this.#patch(user, { read: seq });
  }

  #patch(user: string, change: Partial<Member>): void {
    this.list.set(this.list.value.map((one) => (one.user === user ? { ...one, ...change } : one)));
  }

  #watch(presence: Presence): () => void {
    let watched = '';
    let stop: (() => void) | undefined;
    const listen = (user: string, state: PresenceState | undefined): void => {
      const next = new Map(this.presence.value);
      if (state === undefined) next.delete(user);
      else next.set(user, state);
      this.presence.set(next);
    };
    const renew = (members: readonly Member[]): void => {
      const users = members.slice(0, maxWatched).map(({ user }) => user);
      if (users.join() === watched) return;
      watched = users.join();
      const before = stop;
      stop = presence.tryWatch(users, listen);
      before?.();
      const left = new Set(users);
      this.presence.set(new Map([...this.presence.value].filter(([user]) => left.has(user))));
    };
    const end = this.list.subscribe(renew);
    renew(this.list.value);
    return () => {
      end();
      stop?.();
      this.presence.set(new Map());
    };
  }
}
