/**
 * The public keys that a key server publishes (JWKS), and when they are fetched.
 *
 * A token whose key is not in the set may be forged, or signed with a key that was published a moment ago. So the set is
 * fetched again for such a token: four times at once, then once in ten seconds. Past that rate the answer is
 * `unavailable`, which clients try again. While the key server is unavailable, the known set stays good for two hours.
 */
import { createLocalJWKSet, errors, jwtVerify, type JWTVerifyOptions, type JWTVerifyResult } from 'jose';
import { ParleyError } from '../protocol/errors.ts';
import { TokenBuckets } from '../rates/token-bucket.ts';

const fetchMs = 5000;
/** A set is fetched again after this time. */
const freshMs = 600_000;
/** A set that cannot be fetched again is used until this age. */
const usableMs = 2 * 3_600_000;
const maxBytes = 1024 * 1024;
const reloads = { perSecond: 0.1, burst: 4 };
/** The pause after a failed fetch, and the `retryAfter` of clients. */
const retryMs = 5000;

type LocalKeys = ReturnType<typeof createLocalJWKSet>;

interface Held {
  readonly keys: LocalKeys;
  /** Fetched for this token: another fetch would bring the same keys. */
  readonly isNew: boolean;
  /** Why the set is an old one. */
  readonly failure?: ParleyError;
}

export class KeySet {
  readonly #url: string;
  readonly #now: () => number;
  readonly #reloads = new TokenBuckets(reloads.perSecond, reloads.burst);
  #known: { readonly keys: LocalKeys; readonly at: number } | undefined = undefined;
  #failed: { readonly error: ParleyError; readonly at: number } | undefined = undefined;
  #fetching: Promise<LocalKeys> | undefined = undefined;

  constructor(url: string, now: () => number) {
    this.#url = url;
    this.#now = now;
  }

  /**
   * @throws {ParleyError} `unavailable` if the keys cannot be fetched, or not now
   * @throws {errors.JOSEError} if the token is wrong
   */
  async verify(token: string, options: JWTVerifyOptions): Promise<JWTVerifyResult> {
    const held = await this.#held();
    try {
      return await verifyWith(held.keys, token, options);
    } catch (error) {
      if (!mayBeNewKey(error)) throw error;
      if (held.failure !== undefined) throw held.failure;
      if (held.isNew) throw error;
      const wait = this.#reloads.take('', this.#now());
      if (wait > 0) throw unavailable(error, Math.max(wait, 1000));
      return await verifyWith(await this.#fetch(), token, options);
    }
  }

  async #held(): Promise<Held> {
    const known = this.#known;
    const age = known === undefined ? Infinity : this.#now() - known.at;
    if (known !== undefined && age < freshMs) return { keys: known.keys, isNew: false };
    try {
      return { keys: await this.#fetch(), isNew: true };
    } catch (error) {
      if (known === undefined || age >= usableMs || !(error instanceof ParleyError)) throw error;
      return { keys: known.keys, isNew: false, failure: error };
    }
  }

  /** One fetch at a time. */
  #fetch(): Promise<LocalKeys> {
    if (this.#failed !== undefined && this.#now() - this.#failed.at < retryMs) {
      return Promise.reject(this.#failed.error);
    }
    this.#fetching ??= this.#load().finally(() => (this.#fetching = undefined));
    return this.#fetching;
  }

  async #load(): Promise<LocalKeys> {
    try {
      const response = await fetch(this.#url, {
        headers: { accept: 'application/json, application/jwk-set+json' },
        redirect: 'manual',
        signal: AbortSignal.timeout(fetchMs),
      });
      if (response.status !== 200) throw new Error(`The key server answers with status ${response.status}.`);
      const keys = createLocalJWKSet(JSON.parse(await textOf(response)) as Parameters<typeof createLocalJWKSet>[0]);
      this.#known = { keys, at: this.#now() };
      this.#failed = undefined;
      return keys;
    } catch (cause) {
      const error = unavailable(cause, retryMs);
      this.#failed = { error, at: this.#now() };
      throw error;
    }
  }
}

/** A set may hold several keys that fit: of one `kid`, or of one algorithm for a token without `kid`. All are tried. */
async function verifyWith(keys: LocalKeys, token: string, options: JWTVerifyOptions): Promise<JWTVerifyResult> {
  try {
    return await jwtVerify(token, keys, options);
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    for await (const key of error) {
      try {
        return await jwtVerify(token, key, options);
      } catch (failure) {
        if (!(failure instanceof errors.JWSSignatureVerificationFailed)) throw failure;
      }
    }
    throw new errors.JWSSignatureVerificationFailed();
  }
}

function mayBeNewKey(error: unknown): boolean {
  return error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed;
}

async function textOf(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    parts.push(part as Uint8Array);
    bytes += (part as Uint8Array).byteLength;
    if (bytes > maxBytes) throw new Error(`The key server sends more than ${maxBytes} bytes.`);
  }
  return Buffer.concat(parts).toString('utf8');
}

function unavailable(cause: unknown, retryAfter: number): ParleyError {
  return new ParleyError('unavailable', 'The keys to check tokens with cannot be fetched.', { retryAfter, cause });
}
