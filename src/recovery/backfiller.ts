import type { Backfilled } from './backfill.ts';
import type { Fill, Resequencer } from './resequencer.ts';
import { WorkQueue } from './work-queue.ts';

export interface BackfillerParts {
  readonly gaps: WorkQueue;
  readonly order: Pick<Resequencer, 'beginFill' | 'endFill' | 'failFill'>;
  /** Events after a rev, from Postgres; undefined for a room that is no more. */
  readonly read: (room: string, rev: number) => Promise<Backfilled | undefined>;
}

/** Reads from Postgres at once, over all rooms; of one room there is never more than one. */
const readsAtOnce = 4;

export function createGaps(atOnce: number = readsAtOnce): WorkQueue {
  return new WorkQueue(atOnce);
}

/** Reads the gaps that the resequencer finds, a page at a time. A read that fails is tried again, later each time. */
export class Backfiller {
  readonly #parts: BackfillerParts;

  constructor(parts: BackfillerParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#parts.gaps.start((room) => this.#fill(room));
  }

  async #fill(room: string): Promise<void> {
    const { order, read } = this.#parts;
    const fill: Fill | undefined = order.beginFill(room);
    if (fill === undefined) return;
    try {
      order.endFill(fill, await read(room, fill.from));
    } catch (error) {
      order.failFill(fill, error);
    }
  }
}
