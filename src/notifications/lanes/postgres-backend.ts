import { createPostgresBackend, Queue, Worker } from 'bullmq';
import { within } from '../../jobs/within.ts';
import { lanes, type Lane } from '../../protocol/lanes.ts';
import type { Database, SchemaSessions } from '../../storage/database.ts';
import type { Log } from '../../telemetry/log.ts';
import {
  queueName,
  type LaneBackend,
  type LaneProcessor,
  type LaneQueue,
  type LaneWorker,
  type LaneWorkerOptions,
} from './backend.ts';
import { PgPool } from './pg-pool.ts';
import { migrateQueues } from './queue-schema.ts';

const schema = 'bullmq';
const poolSize = 4;
const answerMs = 5000;

/** The queues in the database: for the embedded one, and for a lone process. */
export class PostgresBackend implements LaneBackend {
  readonly #sessions: SchemaSessions;
  readonly #pool: PgPool;
  readonly #queues = new Map<Lane, LaneQueue>();

  private constructor(database: Database, sessions: SchemaSessions, log: Log) {
    this.#sessions = sessions;
    const { notifications } = database;
    this.#pool = new PgPool({ sql: sessions.sql, notifications, queues: lanes.map(queueName), log });
  }

  /** @throws {StartupError} */
  static async open(database: Database, log: Log): Promise<PostgresBackend> {
    await database.explaining(() => database.migrating(migrateQueues));
    return new PostgresBackend(database, await database.openSchema(schema, poolSize), log);
  }

  async queue(lane: Lane): Promise<LaneQueue> {
    const queue = this.#queues.get(lane) ?? this.#open(lane);
    try {
      await within(answerMs, queue.waitUntilReady());
      return queue;
    } catch (error) {
      // BullMQ keeps the failure of its first statement
      if (this.#queues.get(lane) === queue) this.#queues.delete(lane);
      throw error;
    }
  }

  worker(lane: Lane, run: LaneProcessor, options: LaneWorkerOptions): LaneWorker {
    this.#pool.listen();
    const worker = new Worker(queueName(lane), run, { ...options, connection: this.#pool }, createPostgresBackend);
    return worker as unknown as LaneWorker;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
    await this.#pool.end();
    await this.#sessions.close();
  }

  #open(lane: Lane): LaneQueue {
    const queue = new Queue(
      queueName(lane),
      { connection: this.#pool, streams: { events: { maxLen: 10 } } },
      createPostgresBackend,
    ) as unknown as LaneQueue;
    // the caller of each command gets its error
    queue.on('error', () => {});
    this.#queues.set(lane, queue);
    return queue;
  }
}
