/**
 * Repeated requests with one `Idempotency-Key`: the first one runs, and the others get its answer, on any node, for a day.
 *
 * absent ── the first request ──▶ running ── its answer ──▶ answered ── a day ──▶ absent;
 * running ── an answer that a retry may change, such as `unavailable` ──▶ absent;
 * running ── the node died, and a minute passed ──▶ the next request runs.
 *
 * A node that dies between the effect and its answer leaves an effect that the next request repeats. Messages are safe from
 * that: their UUID follows from the key, and a UUID is stored once.
 */
import { createHash } from 'node:crypto';
import { NoAnswer } from '../jobs/within.ts';
import { PeriodicTask } from '../jobs/periodic-task.ts';
import { ParleyError } from '../protocol/errors.ts';
import { RestError } from '../protocol/rest-errors.ts';
import type { postgres } from '../storage/sql.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Answered } from './answering.ts';
import type { Identity } from './identity.ts';

export interface IdempotencyParts {
  readonly sql: postgres.Sql;
  readonly background: postgres.Sql;
  readonly metrics: Pick<Metrics, 'rest'>;
  readonly log: Log;
}

/** A request that carries a key. */
export interface KeyedRequest {
  readonly caller: string;
  readonly key: string;
  /** Everything that makes it this request: the method, the address and the body. */
  readonly content: string;
}

interface Row {
  readonly outcome: 'first' | 'running' | 'mismatch' | 'answered';
  readonly status: number | null;
  readonly content_type: string | null;
  readonly body: string | null;
}

/** Longer than any request runs. */
const runningMs = 60_000;
const keptMs = 86_400_000;
const pruneEveryMs = 600_000;
const prunedAtOnce = 5000;
const keyPattern = /^[\x21-\x7e]{1,255}$/;

/** @throws {ParleyError} `invalid` @returns undefined: the request has no key */
export function idempotencyKey(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  if (keyPattern.test(header)) return header;
  throw new ParleyError('invalid', 'Idempotency-Key: expected 1 to 255 visible characters of ASCII.');
}

/** The name of a caller, under which keys are unique. */
export function idempotentCaller(identity: Identity): string {
  if (identity.kind === 'user') return `u:${identity.caller.user.id}`;
  return identity.kind === 'key' ? `k:${identity.key.id}:${identity.user ?? ''}` : 'anonymous';
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The UUID of what a request creates: the key itself, if it is one, or a UUID that follows from the key. */
export function uuidOf(caller: string, key: string): string {
  if (uuidPattern.test(key)) return key.toLowerCase();
  const hex = createHash('sha256').update(`${caller}\n${key}`).digest('hex');
  // version 8 of RFC 9562: the bits are ours
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

export class Idempotency {
  readonly #parts: IdempotencyParts;
  readonly #prune: PeriodicTask;

  constructor(parts: IdempotencyParts) {
    this.#parts = parts;
    this.#prune = new PeriodicTask({
      run: () => this.prune(),
      everyMs: pruneEveryMs,
      jitter: 0.3,
      failed: (err, isFirst) => {
        if (isFirst)
          parts.log.warn({ err }, 'Could not delete old idempotency keys; the table grows until it succeeds.');
      },
      keepsAlive: false,
    });
    this.#prune.startLater();
  }

  stop(): Promise<void> {
    return this.#prune.stop();
  }

  /**
   * Runs the request, or returns the answer of an earlier one.
   * @throws {RestError} `idempotency_mismatch` or `in_progress`
   */
  async once(request: KeyedRequest, run: () => Promise<Answered>): Promise<Answered> {
    const row = await this.#begin(request);
    this.#parts.metrics.rest.idempotentRequests.inc({ outcome: row.outcome });
    if (row.outcome === 'mismatch') throw new RestError('idempotency_mismatch');
    if (row.outcome === 'running') throw new RestError('in_progress', undefined, { retryAfter: 1000 });
    if (row.outcome === 'answered') {
      const type = row.content_type === null ? {} : { 'Content-Type': row.content_type };
      const headers = { ...type, 'Cache-Control': 'no-store', 'Idempotency-Replay': 'true' };
      return { status: row.status ?? 200, body: row.body, headers };
    }
    try {
      const answered = await run();
      await this.#end(request, answered);
      return answered;
    } catch (error) {
      // work that took too long goes on, so that its row stays
      if (!(error instanceof ParleyError && error.cause instanceof NoAnswer)) await this.#forget(request);
      throw error;
    }
  }

  /** Deletes what is older than a day. */
  async prune(): Promise<void> {
    for (;;) {
      const deleted = await this.#parts.background`
        delete from idempotency where (caller, key) in (
          select caller, key from idempotency
          where created_at < clock_timestamp() - ${keptMs} * interval '1 ms'
          order by created_at limit ${prunedAtOnce} for update skip locked)`;
      if (deleted.count < prunedAtOnce) return;
    }
  }

  /** One statement decides between two requests that come at once: one of them inserts or takes over the row. */
  async #begin({ caller, key, content }: KeyedRequest): Promise<Row> {
    const hash = createHash('sha256').update(content).digest();
    const [row] = await this.#parts.sql<Row[]>`
      with begun as (
        insert into idempotency (caller, key, request_hash, running_until)
        values (${caller}, ${key}, ${hash}, clock_timestamp() + ${runningMs} * interval '1 ms')
        on conflict (caller, key) do update
        set request_hash = excluded.request_hash, running_until = excluded.running_until, status = null, body = null,
          content_type = null, created_at = excluded.created_at
        where idempotency.created_at < clock_timestamp() - ${keptMs} * interval '1 ms'
          or (idempotency.status is null and idempotency.running_until < clock_timestamp()
            and idempotency.request_hash = excluded.request_hash)
        returning 1
      )
      select 'first' as outcome, null::smallint as status, null as content_type, null as body from begun
      union all
      select case
          when request_hash <> ${hash} then 'mismatch' when status is null then 'running' else 'answered'
        end, status, content_type, body
      from idempotency where caller = ${caller} and key = ${key} and not exists (select from begun)`;
    // the row was deleted between the two reads: the key is free again, and the client retries
    return row ?? { outcome: 'running', status: null, content_type: null, body: null };
  }

  async #end({ caller, key }: KeyedRequest, { status, headers, body }: Answered): Promise<void> {
    if (typeof body !== 'string') return this.#forget({ caller, key });
    await this.#parts.sql`
      update idempotency set status = ${status}, content_type = ${headers['Content-Type'] ?? null}, body = ${body}
      where caller = ${caller} and key = ${key}`;
  }

  async #forget({ caller, key }: Pick<KeyedRequest, 'caller' | 'key'>): Promise<void> {
    await this.#parts.sql`delete from idempotency where caller = ${caller} and key = ${key} and status is null`;
  }
}
