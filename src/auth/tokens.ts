/** Signing and checking of tokens (JWT). */
import {
  createRemoteJWKSet,
  errors,
  importSPKI,
  jwtVerify,
  SignJWT,
  type CryptoKey,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyResult,
} from 'jose';
import { createHash, webcrypto } from 'node:crypto';
import { ParleyError } from '../protocol/errors.ts';
import { latestInstant, userId } from '../protocol/model.ts';
import { StartupError } from '../startup-error.ts';
import { nameOf } from './token-name.ts';

export interface Identity {
  readonly user: string;
  readonly name: string | null;
  readonly tier: string | null;
  /** Milliseconds since 1970. */
  readonly expires: number;
  /** The same; 0 if the token does not say. */
  readonly issuedAt: number;
  /** What revocations know the token by: a hash of its `jti`, or of all of it. */
  readonly key: string;
}

export interface TokenKeys {
  /** HS256; the first signs, all are accepted. Each has at least 32 bytes. */
  readonly secrets: readonly string[];
  /** PEM (SPKI); line breaks may be written as \n. */
  readonly publicKey?: string | undefined;
  readonly jwksUrl?: string | undefined;
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
}

type Check = (token: string) => Promise<JWTVerifyResult>;

const asymmetric = ['EdDSA', 'ES256', 'RS256'];

export class TokenVerifier {
  readonly #checks: readonly Check[];
  /** Verified tokens by hash, oldest first, so that a reconnect storm costs a hash (2 µs) and no signature (90 to 240 µs). */
  readonly #cache = new Map<string, Identity>();
  readonly #cacheSize: number;

  private constructor(checks: readonly Check[], cacheSize: number) {
    this.#checks = checks;
    this.#cacheSize = cacheSize;
  }

  /** @throws {StartupError} if the public key cannot be read. */
  static async create(keys: TokenKeys, cacheSize = 50_000): Promise<TokenVerifier> {
    const common = {
      requiredClaims: ['exp', 'sub'],
      clockTolerance: 0,
      ...(keys.issuer === undefined ? {} : { issuer: keys.issuer }),
      ...(keys.audience === undefined ? {} : { audience: keys.audience }),
    };
    const checks: Check[] = [];
    for (const secret of keys.secrets) {
      // Imported once: of a secret that is given as bytes jose makes a key at each check, 50 of 110 µs.
      const bytes = new TextEncoder().encode(secret);
      const key = await webcrypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
      checks.push((token) => jwtVerify(token, key, { ...common, algorithms: ['HS256'] }));
    }
    if (keys.publicKey !== undefined) {
      const { key, algorithm } = await importPublicKey(keys.publicKey.replaceAll('\\n', '\n'));
      checks.push((token) => jwtVerify(token, key, { ...common, algorithms: [algorithm] }));
    }
    if (keys.jwksUrl !== undefined) {
      const remote: JWTVerifyGetKey = createRemoteJWKSet(new URL(keys.jwksUrl));
      checks.push((token) => jwtVerify(token, remote, { ...common, algorithms: asymmetric }));
    }
    return new TokenVerifier(checks, cacheSize);
  }

  /**
   * @throws {ParleyError} `token_expired`, `unauthorized` (with what is wrong, never the token), or `unavailable` when
   * the key server does not answer.
   */
  async verify(token: string): Promise<Identity> {
    const hash = hashOf(token);
    const known = this.#cache.get(hash);
    if (known !== undefined) {
      if (known.expires > Date.now()) return known;
      this.#cache.delete(hash);
      throw new ParleyError('token_expired');
    }
    const identity = identityOf(await this.#payload(token), hash);
    if (this.#cache.size >= this.#cacheSize) {
      const oldest = this.#cache.keys().next();
      if (!oldest.done) this.#cache.delete(oldest.value);
    }
    this.#cache.set(hash, identity);
    return identity;
  }

  async #payload(token: string): Promise<JWTPayload> {
    let best: ParleyError | undefined;
    for (const check of this.#checks) {
      try {
        return (await check(token)).payload;
      } catch (error) {
        const told = explain(error);
        if (told.code === 'token_expired') throw told;
        if (told.code === 'unavailable' || !(error instanceof errors.JWSSignatureVerificationFailed)) best = told;
      }
    }
    throw best ?? notSigned();
  }
}

/** Signs a token of Parley's own: for guests of the demo and `parley token`. */
export function signToken(
  secret: string,
  claims: { user: string; name?: string | undefined; tier?: string | undefined; ttlSeconds: number },
): Promise<string> {
  const extra = {
    ...(claims.name === undefined ? {} : { name: claims.name }),
    ...(claims.tier === undefined ? {} : { tier: claims.tier }),
  };
  return new SignJWT(extra)
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(claims.user)
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1000) + claims.ttlSeconds)
    .sign(new TextEncoder().encode(secret));
}

function identityOf(payload: JWTPayload, hash: string): Identity {
  const user = userId.safeParse(payload.sub);
  if (!user.success)
    throw new ParleyError('unauthorized', `The token's sub is no user id: ${user.error.issues[0]?.message}.`);
  const tier = payload['tier'];
  return {
    user: user.data,
    name: nameOf(payload['name']).name,
    tier: typeof tier === 'string' ? tier : null,
    expires: instantOf(payload.exp),
    issuedAt: instantOf(payload.iat),
    key: payload.jti === undefined || payload.jti === '' ? hash : hashOf(`jti\n${payload.iss ?? ''}\n${payload.jti}`),
  };
}

/** A token may say any number: what no date can be written of counts as the first or the last that can. */
function instantOf(seconds = 0): number {
  return Math.min(Math.max(Math.floor(seconds * 1000), 0), latestInstant);
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}

function explain(error: unknown): ParleyError {
  if (error instanceof errors.JWTExpired) return new ParleyError('token_expired');
  if (error instanceof errors.JWTClaimValidationFailed) {
    return new ParleyError('unauthorized', `The token's ${error.claim} is missing or wrong.`);
  }
  if (keysAreMissing(error)) {
    return new ParleyError('unavailable', 'The keys to check tokens with cannot be fetched.', {
      retryAfter: 5000,
      cause: error,
    });
  }
  if (error instanceof errors.JWTInvalid || error instanceof errors.JWSInvalid) {
    return new ParleyError('unauthorized', 'This is not a token (JWT).');
  }
  return notSigned();
}

function notSigned(): ParleyError {
  return new ParleyError('unauthorized', 'The token was not signed with a key that is accepted here.');
}

/** The key server does not answer, or with something else than keys (jose's generic error), as proxies do in an outage. */
function keysAreMissing(error: unknown): boolean {
  if (error instanceof TypeError) return /fetch/.test(error.message);
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return true;
  return error instanceof errors.JOSEError && error.code === 'ERR_JOSE_GENERIC';
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
