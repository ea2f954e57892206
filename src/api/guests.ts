import { randomBytes } from 'node:crypto';
import { TokenBuckets } from '../rates/token-bucket.ts';
import { signToken, type TokenSigning } from '../sessions/tokens.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { networkOf } from '../http/client-address.ts';
import { every } from '../jobs/periodic.ts';

const ttlSeconds = 30 * 24 * 3600;
const sweepMs = 60_000;

export interface GuestSettings {
  /** Tokens for one network. */
  readonly perMinute: number;
}

/** Guests of the embedded demo: a token for a display name. */
export class Guests {
  readonly #signing: TokenSigning;
  readonly #metrics: Metrics;
  readonly #rates: TokenBuckets;
  readonly #sweeper: NodeJS.Timeout;

  constructor(options: GuestSettings & { readonly signing: TokenSigning; readonly metrics: Metrics }) {
    this.#signing = options.signing;
    this.#metrics = options.metrics;
    this.#rates = new TokenBuckets(options.perMinute / 60, options.perMinute);
    this.#sweeper = every(() => this.#rates.sweep(), sweepMs);
  }

  /** @throws {ParleyError} `rate_limited` for a network that made too many guests in the last minute */
  async create(name: string, address: string): Promise<{ token: string; user: { id: string; name: string } }> {
    try {
      const wait = this.#rates.take(networkOf(address));
      if (wait > 0) throw new ParleyError('rate_limited', undefined, { retryAfter: wait });
      const user = { id: `guest-${randomBytes(9).toString('base64url')}`, name };
      const token = await signToken(this.#signing, { user: user.id, name, ttlSeconds });
      this.#metrics.guests.inc({ outcome: 'ok' });
      return { token, user };
    } catch (error) {
      this.#metrics.guests.inc({ outcome: error instanceof ParleyError ? error.code : 'internal' });
      throw error;
    }
  }

  stop(): void {
    clearInterval(this.#sweeper);
  }
}
