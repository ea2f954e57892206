/** Times of the workers. Every time is in milliseconds. */
export interface WorkerTimes {
  /** A process that is silent for so long loses its claim on its jobs. */
  readonly claimMs: number;
  /** Pause between two searches for jobs of dead processes. */
  readonly stalledEveryMs: number;
  /** The longest pause after the first failure of a job; doubled by each further one. */
  readonly backoffMs: number;
  readonly backoffCapMs: number;
  /** A job that has failed for so long is dropped. */
  readonly giveUpMs: number;
  /** The longest wait for running jobs at the stop. */
  readonly stopMs: number;
}

export const workerTimes: WorkerTimes = {
  claimMs: 10_000,
  stalledEveryMs: 5000,
  backoffMs: 1000,
  backoffCapMs: 15 * 60_000,
  giveUpMs: 24 * 3_600_000,
  stopMs: 5000,
};
