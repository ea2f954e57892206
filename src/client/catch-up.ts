/**
 * Brings rooms up to date: one `sync` for all that need it, repeated while there is more. Rooms that ask while one is
 * under way are part of the next.
 */
import type { CommandInput, CommandOutput } from '../protocol/commands.ts';
import { limits } from '../protocol/limits.ts';

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

  constructor(sync: (input: CommandInput<'sync'>) => Promise<CommandOutput<'sync'>>) {
    this.#sync = sync;
  }

  request(room: Syncable): void {
    this.#behind.set(room.id, room);
    if (this.#running) return;
    this.#running = true;
    // After the present turn, so that all rooms which `ready` found behind share one command.
    queueMicrotask(() => void this.#run());
  }

  /** After a lost connection nothing is owed: `ready` tells anew who is behind. */
  clear(): void {
    this.#behind.clear();
  }

  async #run(): Promise<void> {
    try {
      while (this.#behind.size > 0) await this.#step();
    } catch {
      // The connection went (the next `ready` asks again) or the server is overloaded (the next event does).
      this.#behind.clear();
    } finally {
      this.#running = false;
    }
  }

  async #step(): Promise<void> {
    const asked = [...this.#behind.values()].slice(0, limits.syncRooms);
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
