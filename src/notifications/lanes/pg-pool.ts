/** The pool that BullMQ needs, over the client of Postgres. */
import { EventEmitter } from 'node:events';
import { PeriodicTask } from '../../jobs/periodic-task.ts';
import type { Notifications, NotificationSubscription, postgres } from '../../storage/sql.ts';
import type { Log } from '../../telemetry/log.ts';

const channel = 'bullmq_jobs';
const renewEveryMs = 5000;
const jsonTypes = new Set([114, 3802]);

type Row = Record<string, unknown>;
interface Result<R> {
  rows: R[];
  rowCount: number;
}

/** BullMQ reads `json` as objects, and the client reads JSON text; see `storage/client.ts`. */
export async function runQuery<R>(
  sql: postgres.ISql,
  text: string,
  params: readonly unknown[] = [],
): Promise<Result<R>> {
  // without parameters a text may have several statements
  const result =
    params.length === 0
      ? await sql.unsafe<Row[]>(text)
      : await sql.unsafe<Row[]>(text, params.map(parameter) as postgres.ParameterOrJSON<never>[], { prepare: true });
  const json = (result.columns ?? []).filter(({ type }) => jsonTypes.has(type)).map(({ name }) => name);
  const rows = result.map((row) => {
    const read: Row = { ...row };
    for (const name of json) if (typeof read[name] === 'string') read[name] = JSON.parse(read[name]);
    return read as R;
  });
  return { rows, rowCount: result.count };
}

function parameter(value: unknown): unknown {
  if (value === undefined) return null;
  const plain = typeof value !== 'object' || value === null || Array.isArray(value);
  return plain ? value : JSON.stringify(value);
}

/** One session of the pool, as far as BullMQ knows. All of them share the subscription to new jobs. */
class PgClient extends EventEmitter {
  readonly query: PgPool['query'];
  readonly #released: (client: PgClient) => void;

  constructor(query: PgPool['query'], released: (client: PgClient) => void) {
    super();
    this.query = query;
    this.#released = released;
  }

  release(): void {
    this.#released(this);
  }
}

export interface PgPoolOptions {
  readonly sql: postgres.Sql;
  readonly notifications: Notifications;
  /** The queues, which begin a read when notifications may have been lost. */
  readonly queues: readonly string[];
  readonly log: Log;
}

/**
 * A notification of Postgres may be lost while its session is made again. So after each new session all queues are read, and
 * BullMQ reads each idle queue every few seconds.
 */
export class PgPool extends EventEmitter {
  readonly #options: PgPoolOptions;
  readonly #clients = new Set<PgClient>();
  readonly #listening: NotificationSubscription;
  readonly #renewal: PeriodicTask;
  #lost = false;

  constructor(options: PgPoolOptions) {
    super();
    this.#options = options;
    this.#listening = options.notifications.subscribe(channel, (payload) => this.#notify(payload));
    this.#renewal = new PeriodicTask({
      run: () => this.#renew(),
      everyMs: renewEveryMs,
      retry: { baseMs: 250, capMs: renewEveryMs },
      failed: (err, isFirst) => {
        this.#lost = true;
        if (isFirst)
          options.log.warn(
            { err },
            'Could not listen for new jobs in Postgres; retrying. Jobs may begin 5 s late until then.',
          );
      },
      keepsAlive: false,
    });
  }

  /** For workers: begins to listen. */
  listen(): void {
    this.#renewal.start();
  }

  query<R = Row>(text: string, params?: readonly unknown[]): Promise<Result<R>> {
    // the pool listens for all clients
    if (/^LISTEN\b/i.test(withoutComments(text))) return Promise.resolve({ rows: [], rowCount: 0 });
    return runQuery<R>(this.#options.sql, text, params);
  }

  connect(): Promise<PgClient> {
    const client = new PgClient(
      (text, params) => this.query(text, params),
      (released) => this.#clients.delete(released),
    );
    // each worker adds listeners for a while
    client.setMaxListeners(0);
    this.#clients.add(client);
    return Promise.resolve(client);
  }

  async end(): Promise<void> {
    await this.#renewal.stop();
    await this.#listening.end();
    this.#clients.clear();
  }

  async #renew(): Promise<void> {
    await this.#listening.renew();
    if (!this.#lost) return;
    this.#lost = false;
    for (const queue of this.#options.queues) this.#notify(queue);
  }

  #notify(payload: string): void {
    for (const client of this.#clients) client.emit('notification', { channel, payload });
  }
}

/** The texts of BullMQ begin with comments. */
function withoutComments(text: string): string {
  return text.replaceAll(/^\s*--.*$/gm, '').trim();
}
