/** What a worker and its parent tell each other over the channel between their processes. */
import type { Readings } from '../telemetry/group-metrics.ts';

export type FromWorker =
  /** It listens. */
  | { readonly type: 'ready'; readonly url: string }
  /** It cannot start, for a reason its operator can mend; its end follows. */
  | { readonly type: 'failed'; readonly message: string }
  /** The answer to `collect`. */
  | { readonly type: 'readings'; readonly id: number; readonly readings: Readings }
  /** Its last counts, before it ends in order. */
  | { readonly type: 'farewell'; readonly readings: Readings }
  /** Somebody asked this worker for `/metrics`. */
  | { readonly type: 'scrape'; readonly id: number };

export type ToWorker =
  | { readonly type: 'collect'; readonly id: number }
  /** The answer to `scrape`: the text for all workers. */
  | { readonly type: 'text'; readonly id: number; readonly text: string };
