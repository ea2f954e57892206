/**
 * Files that leave over REST: the export of a room, and the result of a job. An export goes through a spool, so
 * that its snapshot of Postgres does not wait for the client.
 */
import { ParleyError } from '../../protocol/errors.ts';
import type { postgres } from '../../storage/sql.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { exportRooms } from '../../transfer/export.ts';
import { Spool } from '../../transfer/spool.ts';
import type { Identity } from '../identity.ts';
import { ApiKey } from '../keys/api-key.ts';
import type { ApiKeys } from '../keys/api-keys.ts';
import { readParts } from '../jobs/job-parts.ts';

export interface ExportSettings {
  /** Files that leave this node at a time. */
  readonly maxExports: number;
  readonly maxExportBytes: number;
}

export interface ExportsParts {
  readonly sql: postgres.Sql;
  /** The folder of temporary files. */
  readonly folder: string;
  readonly settings: ExportSettings;
  readonly keys: Pick<ApiKeys, 'onRevoked'>;
  readonly metrics: Pick<Metrics, 'jobs'>;
  readonly log: Log;
}

/** A reader that takes longer is cut off. */
const withinMs = 3_600_000;

/** One file that leaves. */
interface Leaving {
  readonly stop: AbortController;
  /** Resolves when the work behind the file has ended. */
  readonly ended: Promise<void>;
}

export class Exports {
  readonly #parts: ExportsParts;
  readonly #leaving = new Set<Leaving>();
  #opening = 0;

  constructor(parts: ExportsParts) {
    this.#parts = parts;
  }

  /** The files break off, so that their readers see no end line. */
  async stop(): Promise<void> {
    const leaving = [...this.#leaving];
    for (const { stop } of leaving) stop.abort(new ParleyError('draining'));
    await Promise.all(leaving.map(({ ended }) => ended));
  }

  /** @throws {ParleyError} `not_found` or `overloaded` */
  room(identity: Identity, room: string): Promise<ReadableStream<Uint8Array>> {
    return this.#admitted(async () => {
      const { sql, folder, settings, log } = this.#parts;
      const [found] = await sql`select from rooms where id = ${room} and not exists (
        select from deleted_rooms d where d.id = ${room})`;
      if (found === undefined) throw new ParleyError('not_found');
      const spool = await Spool.open(folder, settings.maxExportBytes);
      const stop = new AbortController();
      stop.signal.addEventListener('abort', () => spool.end(stop.signal.reason as Error));
      const work = exportRooms(sql, { room, since: undefined }, (text) => spool.write(text)).then(
        () => spool.end(),
        (error: unknown) => {
          if (!stop.signal.aborted) log.warn({ err: error, room }, 'Could not export a room; the file breaks off.');
          spool.end(error instanceof Error ? error : new Error('The export failed.', { cause: error }));
        },
      );
      return this.#file(
        identity,
        stop,
        () => spool.next(),
        async () => {
          await work;
          await spool.close();
        },
      );
    });
  }

  /** The parts of a job that is done. @throws {ParleyError} `overloaded` */
  result(identity: Identity, job: string): Promise<ReadableStream<Uint8Array>> {
    return this.#admitted(() => {
      const parts = readParts(this.#parts.sql, job);
      const next = async (): Promise<Buffer | undefined> => (await parts.next()).value ?? undefined;
      return Promise.resolve(this.#file(identity, new AbortController(), next, () => parts.return()));
    });
  }

  async #admitted<T>(open: () => Promise<T>): Promise<T> {
    const { settings, metrics } = this.#parts;
    if (this.#leaving.size + this.#opening >= settings.maxExports) {
      metrics.jobs.refused.inc({ limit: 'exports' });
      const detail = 'This node sends as many exports as it may (PARLEY_MAX_EXPORTS).';
      throw new ParleyError('overloaded', detail, { retryAfter: 5000 });
    }
    this.#opening++;
    try {
      return await open();
    } finally {
      this.#opening--;
    }
  }

  /**
   * @param stop aborts the work behind the file
   * @param ending called once, after the last `next` or after the abort
   */
  #file(
    identity: Identity,
    stop: AbortController,
    next: () => Promise<Buffer | undefined>,
    ending: () => Promise<unknown>,
  ): ReadableStream<Uint8Array> {
    const { signal } = stop;
    const closing = new AbortController();
    const close = (): void => closing.abort();
    const closed = new Promise<void>((resolve) => closing.signal.addEventListener('abort', () => resolve()));
    const late = AbortSignal.timeout(withinMs);
    const end = (): void => stop.abort(late.reason);
    late.addEventListener('abort', end);
    const unwatch = this.#watch(identity, () => stop.abort(new ParleyError('session_revoked')));
    const ended = closed.then(async () => {
      late.removeEventListener('abort', end);
      unwatch();
      await ending().catch((err: unknown) => this.#parts.log.warn({ err }, 'Could not close the file of an export.'));
      this.#leaving.delete(leaving);
    });
    const leaving = { stop, ended };
    this.#leaving.add(leaving);
    signal.addEventListener('abort', close);
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          try {
            signal.throwIfAborted();
            const bytes = await next();
            signal.throwIfAborted();
            if (bytes === undefined) {
              controller.close();
              close();
            } else controller.enqueue(bytes);
          } catch (error) {
            close();
            throw error;
          }
        },
        cancel: () => stop.abort(new ParleyError('slow_consumer')),
      },
      { highWaterMark: 0 },
    );
  }

  #watch(identity: Identity, revoked: () => void): () => void {
    if (identity.kind !== 'key' || !(identity.key instanceof ApiKey)) return () => {};
    return this.#parts.keys.onRevoked(identity.key, revoked);
  }
}
