/** The two queues behind the rows of the ledger: the rows of the app are their own queue, and those of devices have the lanes. */
import type { LaneJob, Lanes } from './lanes/lanes.ts';
import { jobKind } from './waiting-jobs.ts';

type Queue = Pick<Lanes, 'add' | 'cancel'>;

export class ChannelLanes implements Queue {
  readonly #app: Queue;
  readonly #outward: Queue;

  constructor(app: Queue, outward: Queue) {
    this.#app = app;
    this.#outward = outward;
  }

  async add(jobs: readonly LaneJob[]): Promise<void> {
    const outward = jobs.filter(({ kind }) => kind !== jobKind);
    // first, because this queue cannot fail
    if (outward.length < jobs.length) await this.#app.add(jobs.filter(({ kind }) => kind === jobKind));
    if (outward.length > 0) await this.#outward.add(outward);
  }

  async cancel(jobs: readonly Pick<LaneJob, 'id' | 'lane'>[]): Promise<void> {
    await this.#app.cancel(jobs);
    await this.#outward.cancel(jobs);
  }
}
