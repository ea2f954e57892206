/**
 * Finds who sends a request. A token of a user is checked as at CONNECT. Then it counts for a second without another read of
 * the database, so that a revoked token is accepted for a second at most.
 */
import { ParleyError } from '../protocol/errors.ts';
import type { Identity as TokenIdentity, TokenVerifier } from '../sessions/tokens.ts';
import { userIn, type Identity, type KeyRights } from './identity.ts';

export interface CallersParts {
  readonly verifier: Pick<TokenVerifier, 'verify'>;
  /** Stores a new user or a new name, and reads the stored name. Rejects if the token has been revoked. */
  readonly admit: (token: TokenIdentity) => Promise<{ readonly name: string | null }>;
  readonly keys: { verify(text: string, address: string): Promise<KeyRights> };
  /** Milliseconds of a clock that does not go back. */
  readonly now?: () => number;
}

interface Admitted {
  readonly name: string | null;
  readonly until: number;
}

/** How long a token counts after the database admitted it. */
const admittedMs = 1000;
/** Admitted tokens in memory. */
const most = 20_000;

export class Callers {
  readonly #parts: CallersParts;
  readonly #now: () => number;
  readonly #admitted = new Map<string, Admitted>();

  constructor(parts: CallersParts) {
    this.#parts = parts;
    this.#now = parts.now ?? (() => performance.now());
  }

  /**
   * @param authorization the header `Authorization`; undefined: nobody in particular
   * @param user the header `Parley-User`, by which an API key names the user it acts for
   * @throws {ParleyError} `unauthorized`, `token_expired`, `forbidden` for a network that the key may not be used from,
   * `invalid`, or `unavailable`
   */
  async identify(authorization: string | undefined, user: string | undefined, address: string): Promise<Identity> {
    if (authorization === undefined || authorization === '') return { kind: 'anonymous' };
    const text = /^Bearer +([^\s]+) *$/i.exec(authorization)?.[1];
    if (text === undefined || text.length > 8192) {
      throw new ParleyError('unauthorized', 'Authorization: expected `Bearer` and a token or an API key.');
    }
    if (text.startsWith('pk_')) {
      return { kind: 'key', key: await this.#parts.keys.verify(text, address), user: userIn(user) };
    }
    return this.#userOf(await this.#parts.verifier.verify(text), user);
  }

  /** For streams, which check it again and again. @throws {ParleyError} `unauthorized` after a revocation */
  async admit(token: TokenIdentity): Promise<string | null> {
    const now = this.#now();
    const known = this.#admitted.get(token.key);
    if (known !== undefined && known.until > now) return known.name;
    const { name } = await this.#parts.admit(token);
    if (this.#admitted.size >= most) this.#forget(now);
    this.#admitted.set(token.key, { name, until: now + admittedMs });
    return name;
  }

  async #userOf(token: TokenIdentity, named: string | undefined): Promise<Identity> {
    const { user: id, tier, backend = false } = token;
    if (named !== undefined && named !== '' && named !== id) {
      throw new ParleyError('forbidden', 'Parley-User: a token acts for its own user alone.');
    }
    const name = await this.admit(token);
    return { kind: 'user', token, caller: { user: { id, name }, tier, backend, session: undefined } };
  }

  #forget(now: number): void {
    for (const [key, { until }] of this.#admitted) if (until <= now) this.#admitted.delete(key);
    // all of them count still: the oldest go
    for (const key of this.#admitted.keys()) {
      if (this.#admitted.size < most) break;
      this.#admitted.delete(key);
    }
  }
}
