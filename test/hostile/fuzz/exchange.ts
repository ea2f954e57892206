import type { Random } from './random.ts';

/** One conversation of a hostile client: made of its random stream alone. */
export interface Exchange {
  readonly r: Random;
  readonly port: number;
  /** One of this machine's own, to come from. */
  readonly address: string;
  readonly token: string;
  /** Counts cases that the server has met, by what came of them. */
  readonly tally: (outcome: string, cases?: number) => void;
}
