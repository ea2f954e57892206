import { once } from 'node:events';
import { Queue, Worker } from 'bullmq';
import type { Redis, RedisOptions } from 'ioredis';
import { inTime, within } from '../../jobs/within.ts';
import type { Lane } from '../../protocol/lanes.ts';
import type { RedisLink } from '../../storage/redis.ts';
import type { Log } from '../../telemetry/log.ts';
import {
  queueName,
  type LaneBackend,
  type LaneProcessor,
  type LaneQueue,
  type LaneWorker,
  type LaneWorkerOptions,
  type Payload,
} from './backend.ts';

const answerMs = 5000;

export interface RedisBackendOptions {
  readonly redis: RedisLink;
  readonly prefix: string;
  readonly log: Log;
}

/**
 * Two connections of its own, so that a batch of jobs does not delay events and presence, and one more for each worker.
 *
 * Jobs are added by a connection whose commands fail at once while Redis is unavailable. Workers have one whose commands
 * wait for Redis.
 */
export class RedisBackend implements LaneBackend {
  readonly #options: RedisBackendOptions;
  readonly #adding: Redis;
  readonly #queues = new Map<Lane, LaneQueue>();
  #working: Redis | undefined = undefined;

  private constructor(options: RedisBackendOptions) {
    this.#options = options;
    this.#adding = this.#connect({ enableOfflineQueue: false, maxRetriesPerRequest: 0, commandTimeout: answerMs });
  }

  /** Waits for the first connection, unless Redis is unavailable. */
  static async open(options: RedisBackendOptions): Promise<RedisBackend> {
    const backend = new RedisBackend(options);
    if (options.redis.up) await inTime(answerMs, once(backend.#adding, 'ready'));
    return backend;
  }

  async queue(lane: Lane): Promise<LaneQueue> {
    if (this.#adding.status !== 'ready') throw new Error(this.#options.redis.problem ?? 'Redis is not connected yet');
    const queue = this.#queues.get(lane) ?? this.#open(lane);
    try {
      await within(answerMs, queue.waitUntilReady());
      return queue;
    } catch (error) {
      // a queue whose first commands failed stays unusable
      if (this.#queues.get(lane) === queue) this.#queues.delete(lane);
      await queue.close();
      throw error;
    }
  }

  worker(lane: Lane, run: LaneProcessor, options: LaneWorkerOptions): LaneWorker {
    this.#working ??= this.#connect({ enableOfflineQueue: true, maxRetriesPerRequest: null });
    return new Worker<Payload, void>(queueName(lane), run, {
      ...options,
      connection: this.#working,
      prefix: this.#prefix,
    });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
    this.#adding.disconnect();
    this.#working?.disconnect();
  }

  get #prefix(): string {
    return `${this.#options.prefix}lanes`;
  }

  #open(lane: Lane): LaneQueue {
    const queue = new Queue<Payload, void>(queueName(lane), {
      connection: this.#adding,
      prefix: this.#prefix,
      // nothing reads the events of the queues
      streams: { events: { maxLen: 10 } },
    });
    // the caller of each command gets its error
    queue.on('error', () => {});
    this.#queues.set(lane, queue);
    return queue;
  }

  #connect(own: RedisOptions): Redis {
    const { redis, log } = this.#options;
    const options: RedisOptions = {
      ...own,
      lazyConnect: false,
      enableReadyCheck: true,
      autoResendUnfulfilledCommands: own.enableOfflineQueue === true,
      // the link counts only the refusals of its own connections
      reconnectOnError: null,
      retryStrategy: (attempt) => Math.min(1000, 50 * 2 ** Math.min(attempt, 5)) * (0.5 + Math.random() / 2),
    };
    const connection = redis.commands.duplicate(options);
    // the link logs each outage
    connection.on('error', (err: Error) => log.debug({ err }, 'A connection of the lanes to Redis failed.'));
    return connection;
  }
}
