/** The messages between a worker and its parent. */
import type { Readings } from '../telemetry/group-metrics.ts';

export type FromWorker =
  /** The worker listens. */
  | { readonly type: 'ready'; readonly url: string }
  /** The worker cannot start, for a reason that its operator can fix; the end of the worker follows. */
  | { readonly type: 'failed'; readonly message: string }
  /** The answer to `collect`. */
  | { readonly type: 'readings'; readonly id: number; readonly readings: Readings }
  /** The last counts of a worker, before its orderly end. */
  | { readonly type: 'farewell'; readonly readings: Readings }
  /** A client requested `/metrics` from this worker. */
  | { readonly type: 'scrape'; readonly id: number };

export type ToWorker =
  | { readonly type: 'collect'; readonly id: number }
  /** The answer to `scrape`: the text for all workers. */
  | { readonly type: 'text'; readonly id: number; readonly text: string };
