/** One user's part of the store. A failure of the store costs the survival over a reload, nothing else. */
import { asParleyError, within } from './failure.ts';
import { Cell } from './readable.ts';
import type { ParleyError } from '../protocol/errors.ts';
import type { Message } from '../protocol/model.ts';
import type { Store } from './store.ts';

/** The last known state of a room: a run of messages up to the newest at `cursor`. */
export interface RoomSnapshot {
  readonly messages: readonly Message[];
  readonly cursor: number;
  /** The epoch of the messages and of the cursor. */
  readonly epoch: string | undefined;
  readonly hasOlder: boolean;
}

const maxRooms = 50;
/** A store that takes longer has failed; the client continues without it. */
const answerMs = 5000;
export const snapshotMessages = 100;

export class Archive {
  readonly failed = new Cell<ParleyError | undefined>(undefined);
  readonly #store: Store;
  #prefix: string | undefined;
  #savedAt = 0;
  #begin: () => void = () => undefined;
  readonly #begun = new Promise<void>((resolve) => (this.#begin = resolve));

  constructor(store: Store) {
    this.#store = store;
  }

  /** @param prefix of this user at this server; undefined: the user is unknown, and the archive keeps nothing */
  open(prefix: string | undefined): void {
    this.#prefix = prefix;
    this.#begin();
  }

  /** The value from the store; undefined if there is none, or if the store failed. */
  async get(key: string): Promise<unknown> {
    await this.#begun;
    return this.#try(undefined, (prefix) => this.#store.get(prefix + key));
  }

  async list(key: string): Promise<unknown[]> {
    await this.#begun;
    return (await this.#try([], (prefix) => this.#store.list(prefix + key))).map(([, value]) => value);
  }

  /** Writes in the order of the calls. */
  set(key: string, value: unknown): void {
    void this.#begun.then(() => this.#try(undefined, (prefix) => this.#store.set(prefix + key, value)));
  }

  async room(id: string): Promise<RoomSnapshot | undefined> {
    return (await this.get(`room/${id}`)) as RoomSnapshot | undefined;
  }

  /** Keeps the rooms that were saved last. Each room has its own index entry, so tabs that save at once lose none. */
  async saveRoom(id: string, snapshot: RoomSnapshot | undefined): Promise<void> {
    await this.#put(id, snapshot, snapshot && { id, at: (this.#savedAt = Math.max(Date.now(), this.#savedAt + 1)) });
    if (snapshot === undefined) return;
    const saved = (await this.list('saved/')) as { id: string; at: number }[];
    for (const old of saved.sort((a, b) => b.at - a.at).slice(maxRooms)) await this.#put(old.id);
  }

  /** The index entry of a room that could not be removed stays, so the next call finds that room. */
  async #put(id: string, snapshot?: RoomSnapshot, saved?: object): Promise<void> {
    await this.#begun;
    await this.#try(undefined, async (prefix) => {
      await this.#store.set(`${prefix}room/${id}`, snapshot);
      await this.#store.set(`${prefix}saved/${id}`, saved);
    });
  }

  /** Removes all entries of this user, and keeps nothing from now on. */
  async forget(): Promise<void> {
    this.#begin();
    const forgotten = this.#try(undefined, async (prefix) => {
      for (const [key] of await this.#store.list(prefix)) await this.#store.set(key, undefined);
    });
    this.#prefix = undefined;
    await forgotten;
  }

  async #try<T>(otherwise: T, act: (prefix: string) => Promise<T>): Promise<T> {
    if (this.#prefix === undefined) return otherwise;
    try {
      return await within(answerMs, act(this.#prefix));
    } catch (thrown) {
      this.failed.set(asParleyError(thrown));
      return otherwise;
    }
  }
}
