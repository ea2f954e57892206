/**
 * Brings rooms up to date: one `sync` for all that need it, repeated while there is more. Rooms that ask while one is
 * under way are part of the next.
 */
import type { CommandInput, CommandOutput } from '../protocol/commands.ts';
import { clientLimits as limits } from '../protocol/client-limits.ts';
import { delayBefore, resendBackoff } from './backoff.ts';
import { asParleyError } from './failure.ts';

export type SyncPage = CommandOutput<'sync'>['rooms'][string];

export interface Syncable {
  readonly id: string;
  readonly cursor: number;
  synced(page: SyncPage): void;
  /** The room was left out of the answer: it may not be seen any more. */
  hidden(): void;
}

export class CatchUp {
  readonly #sync: (input: CommandInput<'sync'>) => Promise<CommandOutput<'sync'>>;
  readonly #behind = new Map<string, Syncable>();
  #running = false;
  #online = false;
  /** Counts connections, so that an answer which belongs to an earlier one is told apart. */
  #connection = 0;
  #cut: (() => void) | undefined;

  constructor(sync: (input: CommandInput<'sync'>) => Promise<CommandOutput<'sync'>>) {
    this.#sync = sync;
  }

  request(room: Syncable): void {
    if (!this.#online) return;
    this.#behind.set(room.id, room);
    if (this.#running) return;
    this.#running = true;
    // After the present turn, so that all rooms which `ready` found behind share one command.
    queueMicrotask(() => void this.#run());
  }

  resume(): void {
    this.#online = true;
  }

  /** The connection went, and nothing is owed any more: the next `ready` tells anew who is behind. */
  pause(): void {
    this.#online = false;
    this.#behind.clear();
    this.#connection += 1;
    this.#cut?.();
  }

  async #run(): Promise<void> {
    for (let failures = 0; this.#behind.size > 0;) {
      const connection = this.#connection;
      const asked = [...this.#behind.values()].slice(0, limits.syncRooms);
      try {
        await this.#step(asked);
        failures = 0;
      } catch (thrown) {
        if (connection !== this.#connection) continue;
        const error = asParleyError(thrown);
        if (!error.retryable) continue;
        for (const room of asked) this.#behind.set(room.id, room);
        await this.#wait(delayBefore(failures, resendBackoff, error.retryAfter));
        failures += 1;
      }
    }
    this.#running = false;
  }

  #wait(delay: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, delay);
      this.#cut = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #step(asked: readonly Syncable[]): Promise<void> {
    const cursors = Object.fromEntries(asked.map((room) => [room.id, room.cursor]));
    for (const room of asked) this.#behind.delete(room.id);
    const answer = await this.#sync({ cursors });
    const answered = asked.filter((room) => answer.rooms[room.id] !== undefined);
    for (const room of asked) {
      const page = answer.rooms[room.id];
      if (page === undefined) {
        // Left out for want of space, if others were served; then it is asked for again.
        if (answer.more && answered.length > 0) this.#behind.set(room.id, room);
        else room.hidden();
        continue;
      }
      room.synced(page);
      if (page.more && page.reset !== true) this.#behind.set(room.id, room);
    }
  }
}
