/**
 * Brings rooms up to date: one `sync` for all rooms that need it, repeated while there is more. A room that is added
 * during a `sync` is part of the next one.
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
  /** The answer does not have the room: the user may not read it any more. */
  hidden(): void;
}

export class CatchUp {
  readonly #sync: (input: CommandInput<'sync'>) => Promise<CommandOutput<'sync'>>;
  readonly #behind = new Map<string, Syncable>();
  #running = false;
  #online = false;
  /** Counts connections, so that the answer of an earlier one is recognised. */
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
    // Runs after the present turn, so that all rooms that `ready` found behind share one command.
    queueMicrotask(() => void this.#run());
  }

  resume(): void {
    this.#online = true;
  }

  /** The connection was lost. The next `ready` names the rooms that are behind. */
  pause(): void {
    this.#online = false;
    this.#behind.clear();
    this.#connection += 1;
    this.#cut?.();
  }

  async #run(): Promise<void> {
    for (let failures = 0; this.#behind.size > 0;) {
      const connection = this.#connection;
      const batch = [...this.#behind.values()].slice(0, limits.syncRooms);
      try {
        await this.#step(batch);
        failures = 0;
      } catch (thrown) {
        if (connection !== this.#connection) continue;
        const error = asParleyError(thrown);
        if (!error.retryable) continue;
        for (const room of batch) this.#behind.set(room.id, room);
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

  async #step(batch: readonly Syncable[]): Promise<void> {
    const cursors = Object.fromEntries(batch.map((room) => [room.id, room.cursor]));
    for (const room of batch) this.#behind.delete(room.id);
    const answer = await this.#sync({ cursors });
    const answered = batch.filter((room) => answer.rooms[room.id] !== undefined);
    for (const room of batch) {
      const page = answer.rooms[room.id];
      if (page === undefined) {
        // The answer had no space for this room, if it has other rooms. The next `sync` includes the room.
        if (answer.more && answered.length > 0) this.#behind.set(room.id, room);
        else room.hidden();
        continue;
      }
      room.synced(page);
      if (page.more && page.reset !== true) this.#behind.set(room.id, room);
    }
  }
}
