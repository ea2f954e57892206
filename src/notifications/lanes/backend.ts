/** The store behind the queues of the lanes: Redis or Postgres. */
import type { Processor, Queue, Worker, WorkerOptions } from 'bullmq';
import type { Lane } from '../../protocol/lanes.ts';
import type { Json } from './lanes.ts';

/** The data of a job as the store has them. */
export interface Payload {
  readonly data: Json;
  /** When the job is due. */
  readonly at: number;
  readonly expires?: number;
}

export type LaneQueue = Queue<Payload, void>;
export type LaneProcessor = Processor<Payload, void>;
export type LaneWorker = Worker<Payload, void>;
/** The options that do not depend on the store. */
export type LaneWorkerOptions = Omit<WorkerOptions, 'connection' | 'prefix'>;

export interface LaneBackend {
  /** The queue of a lane, which is ready. @throws if the store is unavailable, at once or within seconds */
  queue(lane: Lane): Promise<LaneQueue>;
  worker(lane: Lane, run: LaneProcessor, options: LaneWorkerOptions): LaneWorker;
  /** Called when the queues and workers are closed. */
  close(): Promise<void>;
}

/** The operator may have queues of BullMQ in the same database. */
export const queueName = (lane: Lane): string => `parley-${lane}`;
