/** Signing and checking of tokens (JWT). */
import { errors, importSPKI, jwtVerify, SignJWT, type CryptoKey, type JWTPayload, type JWTVerifyResult } from 'jose';
import { createHash, randomUUID, webcrypto } from 'node:crypto';
import { ParleyError } from '../protocol/errors.ts';
import { backendPrefix, latestInstant, userId } from '../protocol/model.ts';
import { StartupError } from '../startup-error.ts';
import { KeySet } from './key-set.ts';
import { KnownTokens } from './known-tokens.ts';
import { nameOf } from './token-name.ts';

export interface Identity {
  readonly user: string;
  readonly name: string | null;
  readonly tier: string | null;
  /** The token is of a back end of the installation: its commands need no consent of users. */
  readonly backend?: true;
  /** Milliseconds since 1970. */
  readonly expires: number;
  /** The same; 0 if the token does not say. By the clock of its issuer. */
  readonly issuedAt: number;
  /** The key of the token in revocations: a hash of its `jti`, or of the whole token. */
  readonly key: string;
  /** The first read of the database without a revocation of the token; absent: there was no read yet. */
  admitted?: Admission;
}

/** One read of the revocations. Connections that arrive together share it. */
export interface Admission {
  /** The snapshot of the read, as Postgres writes it: `xmin:xmax:xip,…`. */
  readonly snapshot: string;
  /** By the database's clock; milliseconds since 1970. */
  readonly at: number;
}

export interface TokenKeys {
  /** HS256; the first signs, all are accepted. Each has at least 32 bytes. */
  readonly secrets: readonly string[];
  /** PEM (SPKI); line breaks may be written as \n. */
  readonly publicKey?: string | undefined;
  readonly jwksUrl?: string | undefined;
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
  /** How far ahead the clock of the issuer may be: for `iat` and `nbf`, not for `exp`. */
  readonly leewayMs?: number;
}

export interface TokenVerifierOptions {
  /** Verified tokens that are remembered. */
  readonly cacheSize?: number;
  /** Takes a line for the log. */
  readonly note?: (fields: object, line: string) => void;
  readonly now?: () => number;
}

export const defaultLeewayMs = 60_000;
/** A token that is good only after a day is not early but wrong, as with milliseconds in the place of seconds. */
const longestWaitMs = 86_400_000;
/** The longest `retryAfter`: a client may get another token meanwhile. */
const longestRetryMs = 60_000;

type Check = (token: string) => Promise<JWTVerifyResult>;

const asymmetric = ['EdDSA', 'ES256', 'RS256'];

export class TokenVerifier {
  readonly #checks: readonly Check[];
  /** So that a reconnect storm costs a hash (2 µs) and no signature (90 to 240 µs). */
  readonly #known: KnownTokens;
  /** How far the clocks of the issuer and the server may differ. */
  readonly leewayMs: number;
  readonly #note: (fields: object, line: string) => void;
  readonly #now: () => number;

  private constructor(checks: readonly Check[], leewayMs: number, options: TokenVerifierOptions) {
    this.#checks = checks;
    this.leewayMs = leewayMs;
    this.#known = new KnownTokens(options.cacheSize ?? 50_000);
    this.#note = options.note ?? (() => {});
    this.#now = options.now ?? Date.now;
  }

  /** @throws {StartupError} if the public key cannot be read. */
  static async create(keys: TokenKeys, options: TokenVerifierOptions = {}): Promise<TokenVerifier> {
    const now = options.now ?? Date.now;
    const common = {
      requiredClaims: ['exp', 'sub'],
      ...(keys.issuer === undefined ? {} : { issuer: keys.issuer }),
      ...(keys.audience === undefined ? {} : { audience: keys.audience }),
    };
    // `#checkTimes` compares the times, with a separate error for each.
    const settings = (algorithms: string[]) => ({
      ...common,
      algorithms,
      clockTolerance: Number.MAX_SAFE_INTEGER,
    });
    const checks: Check[] = [];
    for (const secret of keys.secrets) {
      // Imported once: of a secret that is given as bytes jose makes a key at each check, 50 of 110 µs.
      const bytes = new TextEncoder().encode(secret);
      const key = await webcrypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
      checks.push((token) => jwtVerify(token, key, settings(['HS256'])));
    }
    if (keys.publicKey !== undefined) {
      const { key, algorithm } = await importPublicKey(keys.publicKey.replaceAll('\\n', '\n'));
      checks.push((token) => jwtVerify(token, key, settings([algorithm])));
    }
    if (keys.jwksUrl !== undefined) {
      const remote = new KeySet(keys.jwksUrl, now);
      checks.push((token) => remote.verify(token, settings(asymmetric)));
    }
    return new TokenVerifier(checks, keys.leewayMs ?? defaultLeewayMs, options);
  }

  /**
   * @throws {ParleyError} `token_expired`; `unauthorized` with the reason, never the token; or `unavailable` for a token
   * that is not valid yet, or a key server without an answer
   */
  async verify(token: string): Promise<Identity> {
    const hash = hashOf(token);
    const known = this.#known.get(hash);
    if (known !== undefined) {
      if (known.expires > this.#now()) return known;
      this.#known.delete(hash);
      throw new ParleyError('token_expired');
    }
    const payload = await this.#payload(token);
    this.#checkTimes(payload);
    const identity = this.#identityOf(payload, hash);
    this.#known.add(hash, identity);
    return identity;
  }

  /** The tokens of a user that were verified here and are remembered. */
  knownOf(user: string): readonly Identity[] {
    return this.#known.of(user);
  }

  async #payload(token: string): Promise<JWTPayload> {
    let best: ParleyError | undefined;
    for (const check of this.#checks) {
      try {
        return (await check(token)).payload;
      } catch (error) {
        const failure = explain(error);
        if (failure.code === 'unavailable') best = failure;
        else if (!(error instanceof errors.JWSSignatureVerificationFailed)) best ??= failure;
      }
    }
    throw best ?? notSigned();
  }

  #checkTimes(payload: JWTPayload): void {
    const now = this.#now();
    if (instantOf(payload.exp) <= now) throw new ParleyError('token_expired');
    for (const claim of ['nbf', 'iat'] as const) {
      const wait = (payload[claim] ?? 0) * 1000 - this.leewayMs - now;
      if (wait <= 0) continue;
      const detail = `The token's ${claim} is ahead of the server's clock.`;
      if (wait > longestWaitMs) throw new ParleyError('unauthorized', detail);
      throw new ParleyError('unavailable', detail, { retryAfter: Math.ceil(Math.min(wait, longestRetryMs)) });
    }
  }

  #identityOf(payload: JWTPayload, hash: string): Identity {
    const user = userId.safeParse(payload.sub);
    if (!user.success)
      throw new ParleyError('unauthorized', `The token's sub is no user id: ${user.error.issues[0]?.message}.`);
    if (user.data.startsWith(backendPrefix) && payload['backend'] !== true) {
      throw new ParleyError(
        'unauthorized',
        `The token's sub begins with ${backendPrefix}, which needs the claim "backend": true.`,
      );
    }
    const { name, shortened } = nameOf(payload['name']);
    if (shortened) this.#note({ user: user.data, name }, 'The name in a token is too long; it was shortened.');
    const tier = payload['tier'];
    return {
      user: user.data,
      name,
      tier: typeof tier === 'string' ? tier : null,
      ...(payload['backend'] === true ? { backend: true } : {}),
      expires: instantOf(payload.exp),
      issuedAt: instantOf(payload.iat),
      key: payload.jti === undefined || payload.jti === '' ? hash : hashOf(`jti\n${payload.iss ?? ''}\n${payload.jti}`),
    };
  }
}

/** The secret and the claims by which the verifier of this server accepts a token. */
export interface TokenSigning {
  readonly secret: string;
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
}

/** Signs a token of Parley's own: for guests of the demo, API keys and `parley token`. */
export function signToken(
  signing: string | TokenSigning,
  claims: { user: string; name?: string | undefined; tier?: string | undefined; backend?: boolean; ttlSeconds: number },
): Promise<string> {
  const { secret, issuer, audience }: TokenSigning = typeof signing === 'string' ? { secret: signing } : signing;
  const extra = {
    ...(issuer === undefined ? {} : { iss: issuer }),
    ...(audience === undefined ? {} : { aud: audience }),
    // two tokens of one second differ, so that a revocation in that second can name the first
    jti: randomUUID(),
    ...(claims.name === undefined ? {} : { name: claims.name }),
    ...(claims.tier === undefined ? {} : { tier: claims.tier }),
    ...(claims.backend === true ? { backend: true } : {}),
  };
  return new SignJWT(extra)
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(claims.user)
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1000) + claims.ttlSeconds)
    .sign(new TextEncoder().encode(secret));
}

/** A token may say any number: what no date can be written of counts as the first or the last that can. */
function instantOf(seconds = 0): number {
  return Math.min(Math.max(Math.floor(seconds * 1000), 0), latestInstant);
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}

function explain(error: unknown): ParleyError {
  if (error instanceof ParleyError) return error;
  if (error instanceof errors.JWTClaimValidationFailed) {
    return new ParleyError('unauthorized', `The token's ${error.claim} is missing or wrong.`);
  }
  if (error instanceof errors.JWTInvalid || error instanceof errors.JWSInvalid) {
    return new ParleyError('unauthorized', 'This is not a token (JWT).');
  }
  return notSigned();
}

function notSigned(): ParleyError {
  return new ParleyError('unauthorized', 'The token was not signed with a key that is accepted here.');
}

/** A PEM does not name its algorithm; the one that can import it is the one it is for. */
async function importPublicKey(pem: string): Promise<{ key: CryptoKey; algorithm: string }> {
  for (const algorithm of asymmetric) {
    try {
      return { key: await importSPKI(pem, algorithm), algorithm };
    } catch {
      // not of this kind; the next one may be
    }
  }
  throw new StartupError(`PARLEY_JWT_PUBLIC_KEY is no PEM public key for ${asymmetric.join(', ')}.`);
}
