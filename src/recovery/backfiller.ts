import type { Backfilled } from './backfill.ts';
import type { Resequencer } from './resequencer.ts';
import type { Fill } from './room-state.ts';
import { WorkQueue } from './work-queue.ts';

export interface BackfillerParts {
  readonly gaps: WorkQueue;
  readonly resequencer: Pick<Resequencer, 'beginFill' | 'endFill' | 'failFill'>;
  /** Events after a rev, from Postgres. Undefined: the room was deleted. */
  readonly read: (room: string, rev: number) => Promise<Backfilled | undefined>;
}

/** Reads of Postgres that run at once, over all rooms. A room never has more than one. */
const readsAtOnce = 4;

export function createGaps(atOnce: number = readsAtOnce): WorkQueue {
  return new WorkQueue(atOnce);
}

/** Reads the gaps that the resequencer finds, a page at a time. A failed read is repeated, with a growing wait. */
export class Backfiller {
  readonly #parts: BackfillerParts;

  constructor(parts: BackfillerParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#parts.gaps.start((room) => this.#fill(room));
  }

  async #fill(room: string): Promise<void> {
    const { resequencer, read } = this.#parts;
    const fill: Fill | undefined = resequencer.beginFill(room);
    if (fill === undefined) return;
    try {
      resequencer.endFill(fill, await read(room, fill.from));
    } catch (error) {
      resequencer.failFill(fill, error);
    }
  }
}
