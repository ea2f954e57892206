import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { TokenBuckets } from '../rates/token-bucket.ts';
import { signToken } from '../sessions/tokens.ts';
import { ParleyError } from '../protocol/errors.ts';
import { userName } from '../protocol/model.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { networkOf } from '../http/client-address.ts';
import type { HttpAnswer, Received } from '../http/http.ts';
import { every } from '../jobs/periodic.ts';

const ttlSeconds = 30 * 24 * 3600;
const sweepMs = 60_000;
const input = z.object({ name: userName });

export interface GuestSettings {
  /** Signs the tokens of guests. */
  readonly secret: string;
  /** Tokens for one network. */
  readonly perMinute: number;
}

/** `POST /api/v1/auth/guest` of the embedded demo: a token for a display name. */
export class Guests {
  readonly #secret: string;
  readonly #metrics: Metrics;
  readonly #rates: TokenBuckets;
  readonly #sweeper: NodeJS.Timeout;

  constructor(options: GuestSettings & { readonly metrics: Metrics }) {
    this.#secret = options.secret;
    this.#metrics = options.metrics;
    this.#rates = new TokenBuckets(options.perMinute / 60, options.perMinute);
    this.#sweeper = every(() => this.#rates.sweep(), sweepMs);
  }

  async create(request: Received): Promise<HttpAnswer> {
    try {
      const wait = this.#rates.take(networkOf(request.address));
      if (wait > 0) throw new ParleyError('rate_limited', undefined, { retryAfter: wait });
      const user = { id: `guest-${randomBytes(9).toString('base64url')}`, name: nameIn(await request.body()) };
      const token = await signToken(this.#secret, { user: user.id, name: user.name, ttlSeconds });
      this.#metrics.guests.inc({ outcome: 'ok' });
      return { status: 200, json: { token, user } };
    } catch (error) {
      this.#metrics.guests.inc({ outcome: error instanceof ParleyError ? error.code : 'internal' });
      throw error;
    }
  }

  stop(): void {
    clearInterval(this.#sweeper);
  }
}

function nameIn(body: Buffer): string {
  try {
    return input.parse(JSON.parse(body.toString('utf8'))).name;
  } catch (error) {
    // no JSON, no name, or a value over which zod itself throws
    throw new ParleyError('invalid', 'Expected {"name": "1 to 40 characters"}.', { cause: error });
  }
}
