/**
 * One request at a time writes an upload. In a process a second request makes the first one end. A client that was cut off
 * sends its next request before the server knows of the cut. Between processes the row of the upload is held for a while, and
 * the hold is renewed as long as the request runs.
 */
import type { Lock, Locker } from '@tus/server';
import { randomUUID } from 'node:crypto';
import { within, NoAnswer } from '../jobs/within.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';
import { pause, systemClock } from '../jobs/clock.ts';
import { RestError } from '../protocol/rest-errors.ts';
import type { UploadRows } from './rows.ts';

const waitMs = 10_000;
const holdMs = 30_000;
const renewEveryMs = 10_000;
/** Between two attempts at an upload that another process holds. */
const pollMs = 200;

interface Held {
  readonly endRequest: () => void;
  readonly ended: Promise<void>;
  readonly end: () => void;
  readonly holder: string;
  readonly renewal: PeriodicTask;
}

type Rows = Pick<UploadRows, 'hold' | 'letGo'>;

function nothing(): void {}

export class UploadLocks implements Locker {
  readonly #rows: Rows;
  readonly #held = new Map<string, Held>();
  #stopped = false;

  constructor(rows: Rows) {
    this.#rows = rows;
  }

  newLock(id: string): Lock {
    return {
      lock: (signal, requestRelease) => this.#lock(id, signal, () => void requestRelease()),
      unlock: () => this.#unlock(id),
    };
  }

  /** Asks every request to end, and waits for them. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { endRequest } of this.#held.values()) endRequest();
    await Promise.all([...this.#held.values()].map(({ ended }) => ended));
  }

  async #lock(id: string, signal: AbortSignal, endRequest: () => void): Promise<void> {
    const wait = { isOver: false };
    let held: Held;
    try {
      held = await within(waitMs, this.#first(id, endRequest, wait));
    } catch (error) {
      wait.isOver = true;
      throw error instanceof NoAnswer ? busy() : error;
    }
    try {
      if (signal.aborted || this.#stopped) throw busy();
      await this.#hold(id, held.holder);
    } catch (error) {
      this.#leave(id, held);
      throw error;
    }
    held.renewal.startLater();
  }

  /** Enters when no other request of this process writes the upload. */
  async #first(id: string, endRequest: () => void, wait: { readonly isOver: boolean }): Promise<Held> {
    for (let held = this.#held.get(id); held !== undefined; held = this.#held.get(id)) {
      held.endRequest();
      await held.ended;
    }
    if (wait.isOver) throw busy();
    return this.#enter(id, endRequest);
  }

  #enter(id: string, endRequest: () => void): Held {
    let end: () => void = nothing;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const holder = randomUUID();
    const renewal = new PeriodicTask({
      run: async () => {
        if (!(await this.#rows.hold(id, holder, holdMs))) endRequest();
      },
      everyMs: renewEveryMs,
      // without the hold another process may begin to write
      failed: endRequest,
      keepsAlive: false,
    });
    const held = { endRequest, ended, end, holder, renewal };
    this.#held.set(id, held);
    return held;
  }

  async #hold(id: string, holder: string): Promise<void> {
    for (const until = systemClock.now() + waitMs; ;) {
      if (await this.#rows.hold(id, holder, holdMs)) return;
      if (systemClock.now() > until) throw busy();
      await pause(pollMs, systemClock);
    }
  }

  async #unlock(id: string): Promise<void> {
    const held = this.#held.get(id);
    if (held === undefined) return;
    try {
      await held.renewal.stop();
      await this.#rows.letGo(id, held.holder);
    } finally {
      this.#leave(id, held);
    }
  }

  #leave(id: string, held: Held): void {
    this.#held.delete(id);
    held.end();
  }
}

function busy(): RestError {
  return new RestError('in_progress', 'Another request writes this upload.', { retryAfter: 1000 });
}
