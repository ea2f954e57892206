/** API keys of back ends on a node: verification of each request, and the changes of keys. */
import { networkOf } from '../../http/client-address.ts';
import { ParleyError } from '../../protocol/errors.ts';
import type { KeyCreateInput, KeyRevokeInput, KeyRotateInput, KeyView, KeyWithSecret } from '../../protocol/keys.ts';
import { MemoryRates } from '../../rates/memory.ts';
import type { postgres } from '../../storage/sql.ts';
import type { Log } from '../../telemetry/log.ts';
import type { ApiKeyRefusal, Metrics } from '../../telemetry/metrics.ts';
import type { ApiKey } from './api-key.ts';
import { readKeyText, type Presented } from './key-text.ts';
import { KeyUses } from './key-uses.ts';
import { KnownKeys } from './known-keys.ts';
import { StoredKeys, type KeyManagement, type KeySettings } from './stored-keys.ts';

export interface ApiKeySettings extends KeySettings {
  /** Wrong keys that one address (IPv6: one /64) may present per minute. */
  readonly failuresPerMinutePerAddress: number;
}

export interface ApiKeysOptions {
  readonly sql: postgres.Sql;
  readonly settings: ApiKeySettings;
  /** Milliseconds since 1970, by the clock of Postgres. */
  readonly now: () => number;
  readonly metrics: Pick<Metrics, 'apiKeysAccepted' | 'apiKeysRefused' | 'apiKeyLimitReached'>;
  readonly log: Log;
}

const minuteMs = 60_000;

export class ApiKeys implements KeyManagement {
  readonly #options: ApiKeysOptions;
  readonly #stored: StoredKeys;
  readonly #known: KnownKeys;
  readonly #uses: KeyUses;
  readonly #failures = new MemoryRates();

  constructor(options: ApiKeysOptions) {
    const { sql, settings, now, log } = options;
    this.#options = options;
    this.#stored = new StoredKeys(sql, settings);
    this.#known = new KnownKeys({
      read: (known) => this.#stored.changedSince(known),
      now,
      requestsPerHour: settings.requestsPerHour,
      log,
    });
    this.#uses = new KeyUses((uses) => this.#stored.noteUses(uses), log);
  }

  /** Ends the polls, and writes when keys were last used. */
  async stop(): Promise<void> {
    await this.#known.stop();
    await this.#uses.stop();
  }

  /**
   * An unknown id and a wrong secret take the same steps: both count for the address, and both wait for the same read. The read
   * also finds a key that was created or rotated a moment ago. So neither the answer nor its time shows whether an id exists.
   *
   * @param address the address of the client, behind trusted proxies
   * @throws {ParleyError} `unauthorized`; `forbidden` from another network; `rate_limited` after many wrong keys of the
   *   address; `unavailable` or `overloaded` while the keys cannot be read
   */
  async verify(text: string, address: string): Promise<ApiKey> {
    const presented = readKeyText(text);
    if (presented === undefined)
      throw this.#refusal('malformed', new ParleyError('unauthorized', 'This is no API key.'));
    if (this.#known.isStale) await this.#known.fresh();
    const key = this.#known.match(presented) ?? (await this.#matchLater(presented, address));
    const now = this.#options.now();
    if (key.expiresAt !== undefined && now >= key.expiresAt)
      throw this.#refusal('expired', new ParleyError('unauthorized', 'The API key has expired.'));
    if (!key.mayBeUsedFrom(address))
      throw this.#refusal('network', new ParleyError('forbidden', 'The API key may not be used from this network.'));
    this.#uses.note(key.id, now);
    this.#options.metrics.apiKeysAccepted.inc();
    return key;
  }

  /**
   * For open streams.
   * @param key the result of `verify`
   * @param callback called once: after the revocation or the expiry of the key, or the end of the secret that was presented
   * @returns the end of the watch, to be called when the stream ends
   */
  onRevoked(key: ApiKey, callback: () => void): () => void {
    return this.#known.watch(key, callback);
  }

  async create(input: KeyCreateInput): Promise<KeyWithSecret> {
    try {
      const created = await this.#stored.create(input);
      this.#note('An API key was created.', created.key);
      return created;
    } catch (error) {
      if (error instanceof ParleyError && error.code === 'limit_reached')
        this.#options.metrics.apiKeyLimitReached.inc();
      throw error;
    }
  }

  list(): Promise<KeyView[]> {
    return this.#stored.list();
  }

  async rotate(input: KeyRotateInput): Promise<KeyWithSecret> {
    const rotated = await this.#stored.rotate(input);
    this.#note('An API key got another secret.', rotated.key);
    await this.#applied();
    return rotated;
  }

  async revoke(input: KeyRevokeInput): Promise<KeyView> {
    const revoked = await this.#stored.revoke(input);
    this.#note('An API key was revoked.', revoked);
    await this.#applied();
    return revoked;
  }

  async #matchLater(presented: Presented, address: string): Promise<ApiKey> {
    const { failuresPerMinutePerAddress: limit } = this.#options.settings;
    const taken = await this.#failures.take(networkOf(address), 1, { limit, windowMs: minuteMs });
    if (!taken.allowed) {
      const detail = 'This address presented too many wrong API keys; wait before the next request.';
      throw this.#refusal('rate_limited', new ParleyError('rate_limited', detail, { retryAfter: taken.resetMs }));
    }
    await this.#known.fresh();
    const key = this.#known.match(presented);
    if (key !== undefined) return key;
    throw this.#refusal('unknown', new ParleyError('unauthorized', 'The API key is wrong, or was revoked.'));
  }

  /** This node applies a change before its answer. Other nodes, and this node after a failure, apply it within a second. */
  async #applied(): Promise<void> {
    try {
      await this.#known.fresh();
    } catch (error) {
      this.#options.log.warn(
        { err: error },
        'Could not apply the change of an API key at once; it counts within a second.',
      );
    }
  }

  #note(line: string, { id, name }: KeyView): void {
    this.#options.log.info({ key: id, name }, line);
  }

  #refusal(reason: ApiKeyRefusal, error: ParleyError): ParleyError {
    this.#options.metrics.apiKeysRefused.labels({ reason }).inc();
    return error;
  }
}
