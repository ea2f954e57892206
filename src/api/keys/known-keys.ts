/**
 * The API keys of the installation, in memory. There are at most a hundred, so a node keeps all of them, and an unknown id
 * needs no statement. A poll reads one row twice a second, and all keys where the version has changed.
 *
 * The keys count for `maxAgeMs` from the beginning of the read that brought them. After that time a verification waits for
 * another read. So a key is refused everywhere within that time of its revocation, also by a node whose polls fail.
 *
 * `fresh` serves all its callers by one read, and reads begin at least `spacingMs` apart. So callers with unknown keys cause
 * ten statements a second at most.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { every } from '../../jobs/periodic.ts';
import { ParleyError } from '../../protocol/errors.ts';
import type { Log } from '../../telemetry/log.ts';
import { ApiKey } from './api-key.ts';
import { isSameHash, noHash, type Presented } from './key-text.ts';
import type { KeyRow, KeySet } from './stored-keys.ts';

const pollMs = 500;
const maxAgeMs = 1000;
const spacingMs = 100;
/** Callers that wait for a read, for which Postgres may need long. */
export const maxWaiting = 1000;

/** One of the two secrets of a key. The object of the key stands for this secret. */
interface Secret {
  readonly hash: Buffer;
  /** By the clock of Postgres. */
  readonly until: number;
  readonly key: ApiKey;
}

interface Watch {
  readonly key: ApiKey;
  readonly ended: () => void;
}

export interface KnownKeysOptions {
  readonly read: (known: string | undefined) => Promise<KeySet | undefined>;
  /** By the clock of Postgres. */
  readonly now: () => number;
  /** Requests per hour of a key without a rate of its own. */
  readonly requestsPerHour: number;
  readonly log: Log;
}

export class KnownKeys {
  readonly #options: KnownKeysOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #watches = new Set<Watch>();
  #version: string | undefined = undefined;
  #secrets: ReadonlyMap<string, readonly Secret[]> = new Map();
  /** The beginning of the last read that succeeded. */
  #asOf = -Infinity;
  #began = -Infinity;
  /** The read under way, without its failure. */
  #reading: Promise<void> = Promise.resolve();
  /** A read that has not begun. */
  #next: Promise<void> | undefined = undefined;
  #waiting = 0;
  #failing = false;

  constructor(options: KnownKeysOptions) {
    this.#options = options;
    // a failure is logged by the read
    this.#timer = every(() => this.#soon().catch(() => {}), pollMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#next?.catch(() => {});
    await this.#reading;
  }

  /** Whether the keys may be older than a revocation that must count by now. */
  get isStale(): boolean {
    return performance.now() - this.#asOf > maxAgeMs;
  }

  /** Resolves after a read that began after this call. @throws {ParleyError} `unavailable`, `overloaded` */
  async fresh(): Promise<void> {
    if (this.#waiting >= maxWaiting) throw new ParleyError('overloaded', undefined, { retryAfter: 1000 });
    this.#waiting++;
    try {
      await this.#soon();
    } finally {
      this.#waiting--;
    }
  }

  /** Compares as many hashes for an id that does not exist as for one that does. */
  match({ id, hash }: Presented): ApiKey | undefined {
    const [current, previous] = this.#secrets.get(id) ?? [];
    const isCurrent = isSameHash(hash, current?.hash ?? noHash);
    const isPrevious = isSameHash(hash, previous?.hash ?? noHash);
    if (isCurrent) return current?.key;
    return isPrevious && previous !== undefined && this.#options.now() < previous.until ? previous.key : undefined;
  }

  /** @param ended called once, when the key is revoked or expires, or the secret that was presented ends. @returns the end of the watch. */
  watch(key: ApiKey, ended: () => void): () => void {
    const watch = { key, ended };
    this.#watches.add(watch);
    return () => void this.#watches.delete(watch);
  }

  #soon(): Promise<void> {
    return (this.#next ??= this.#readNext());
  }

  async #readNext(): Promise<void> {
    await this.#reading;
    const pause = this.#began + spacingMs - performance.now();
    if (pause > 0) await delay(pause);
    // a later caller needs a read that begins later
    this.#next = undefined;
    const reading = this.#read();
    this.#reading = reading.catch(() => {});
    await reading;
  }

  async #read(): Promise<void> {
    const began = performance.now();
    this.#began = began;
    try {
      const changed = await this.#options.read(this.#version);
      if (changed !== undefined) this.#replace(changed);
      this.#asOf = began;
      this.#failing = false;
    } catch (error) {
      if (!this.#failing)
        this.#options.log.warn(
          { err: error },
          'Could not read API keys from Postgres; retrying. Requests with API keys are refused until then.',
        );
      this.#failing = true;
      throw error;
    } finally {
      this.#endWatches();
    }
  }

  #replace({ version, rows }: KeySet): void {
    this.#secrets = new Map(rows.map((row) => [row.id, this.#secretsOf(row)]));
    this.#version = version;
  }

  #secretsOf(row: KeyRow): Secret[] {
    const { id, name, scopes, rooms, networks } = row;
    const perHour = row.per_hour ?? this.#options.requestsPerHour;
    const fields = { id, name, scopes, rooms, networks, perHour, expiresAt: row.expires_at ?? undefined };
    const secrets = [{ hash: row.secret_hash, until: Infinity, key: new ApiKey(fields) }];
    if (row.previous_hash !== null && row.previous_until !== null)
      secrets.push({ hash: row.previous_hash, until: row.previous_until, key: new ApiKey(fields) });
    return secrets.map((secret) => this.#unchanged(id, secret));
  }

  /** A secret that stays keeps its object of the key, by which watches find it. */
  #unchanged(id: string, secret: Secret): Secret {
    const same = this.#secrets.get(id)?.find(({ hash }) => isSameHash(hash, secret.hash));
    return same === undefined ? secret : { ...secret, key: same.key };
  }

  #endWatches(): void {
    if (this.#watches.size === 0) return;
    const now = this.#options.now();
    const valid = new Set<ApiKey>();
    for (const secrets of this.#secrets.values())
      for (const { key, until } of secrets) if (now < until && now < (key.expiresAt ?? Infinity)) valid.add(key);
    for (const watch of this.#watches) {
      if (valid.has(watch.key)) continue;
      this.#watches.delete(watch);
      try {
        watch.ended();
      } catch (error) {
        this.#options.log.error(
          { err: error, key: watch.key.id },
          'Could not end the use of an API key that is not valid.',
        );
      }
    }
  }
}
