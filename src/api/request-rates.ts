/**
 * The rates of requests: by the hour for each caller, over all nodes, and by the minute for sensitive routes. An address
 * without a token or key has the rate of its network. Without Redis each node counts its share (`FallbackRates`).
 */
import { networkOf } from '../http/client-address.ts';
import { systemClock } from '../jobs/clock.ts';
import { ParleyError } from '../protocol/errors.ts';
import type { Rate, Rates, Taken } from '../rates/rates.ts';
import type { Tally } from '../telemetry/hot-metrics.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Identity } from './identity.ts';
import { Offenders } from './offenders.ts';
import type { Operation } from './operation.ts';

export interface RequestRateSettings {
  /** Entries such as `standard=1000`: requests an hour. */
  readonly requestTiers: readonly string[];
  readonly sensitiveRequestsPerMinute: number;
}

export interface RequestRateParts extends RequestRateSettings {
  readonly rates: Rates;
  readonly metrics: Metrics;
  /** Milliseconds of an hour and of a minute; tests compress them. */
  readonly hourMs?: number;
  readonly minuteMs?: number;
}

/** The outcome of counting a request. */
export interface Counted {
  /** The headers that name the rate and what is left of it. */
  readonly headers: Readonly<Record<string, string>>;
  /** The request is over the rate. */
  readonly refused?: ParleyError;
}

type RefusedBy = 'hour' | 'sensitive' | 'blocked' | 'failures';

interface Caller {
  readonly key: string;
  readonly limit: number;
}

const hour = 3_600_000;
const minute = 60_000;
/** An hour has so many parts: a request counts for at most half a minute longer, 0.8 % of the hour. */
const hourParts = 120;
const usualTier = 'standard';
/** Requests with an invalid token or key that an address may send in a minute. */
const failuresPerMinute = 60;

export class RequestRates {
  readonly #parts: RequestRateParts;
  readonly #tiers: ReadonlyMap<string, number>;
  readonly #offenders: Offenders;
  readonly #refused: Readonly<Record<RefusedBy, Tally>>;

  constructor(parts: RequestRateParts) {
    const { metrics } = parts;
    this.#parts = parts;
    this.#tiers = new Map(
      parts.requestTiers.map((entry) => {
        const [name = '', limit] = entry.split('=');
        return [name, Number(limit)];
      }),
    );
    this.#offenders = new Offenders(systemClock, () => metrics.rest.addressesBlocked.inc());
    this.#refused = {
      hour: metrics.rest.requestsRefused.labels({ limit: 'hour' }),
      sensitive: metrics.rest.requestsRefused.labels({ limit: 'sensitive' }),
      blocked: metrics.rest.requestsRefused.labels({ limit: 'blocked' }),
      failures: metrics.rest.requestsRefused.labels({ limit: 'failures' }),
    };
  }

  /** Before the caller is known. @throws {ParleyError} `rate_limited` for a blocked address */
  admit(address: string): void {
    const wait = this.#offenders.blockedFor(networkOf(address));
    if (wait === 0) return;
    this.#refused.blocked.inc();
    throw new ParleyError('rate_limited', 'This address sent too many refused requests; wait.', { retryAfter: wait });
  }

  /** Counts a request whose token or key was refused. @throws {ParleyError} `rate_limited` */
  async failed(address: string): Promise<void> {
    const network = networkOf(address);
    const rate = { limit: failuresPerMinute, windowMs: this.#parts.minuteMs ?? minute };
    const taken = await this.#parts.rates.take(`rest-failed:${network}`, 1, rate);
    if (!taken.allowed) throw this.#refusal('failures', network, taken);
  }

  async take(
    identity: Identity,
    address: string,
    { weight, route }: Pick<Operation, 'weight' | 'route'>,
  ): Promise<Counted> {
    const network = networkOf(address);
    const caller = this.#caller(identity, network);
    if (caller === undefined) return { headers: {} };
    const counted = await this.#takeHourly(caller, network, weight);
    if (counted.refused !== undefined || route.sensitive !== true) return counted;
    const rate = { limit: this.#parts.sensitiveRequestsPerMinute, windowMs: this.#parts.minuteMs ?? minute };
    const sensitive = await this.#parts.rates.take(`rest-sensitive:${caller.key}`, 1, rate);
    const both = merged(counted.headers, headersOf('sensitive', rate, sensitive));
    return sensitive.allowed
      ? { headers: both }
      : { headers: both, refused: this.#refusal('sensitive', network, sensitive) };
  }

  /** Counts the further entries of a batch, whose number is known after the body is. */
  async takeMore(identity: Identity, address: string, units: number): Promise<Counted> {
    const network = networkOf(address);
    const caller = this.#caller(identity, network);
    if (caller === undefined || units <= 0) return { headers: {} };
    return this.#takeHourly(caller, network, units);
  }

  async #takeHourly({ key, limit }: Caller, network: string, units: number): Promise<Counted> {
    const rate: Rate = { limit, windowMs: this.#parts.hourMs ?? hour, parts: hourParts };
    const taken = await this.#parts.rates.take(`rest-hour:${key}`, units, rate);
    const headers = headersOf('hour', rate, taken);
    return taken.allowed ? { headers } : { headers, refused: this.#refusal('hour', network, taken) };
  }

  /** @returns undefined: requests are not limited. */
  #caller(identity: Identity, network: string): Caller | undefined {
    if (identity.kind === 'key') return { key: `k:${identity.key.id}`, limit: identity.key.perHour };
    if (identity.kind === 'anonymous') {
      const limit = this.#tiers.get('anonymous');
      return limit === undefined ? undefined : { key: `a:${network}`, limit };
    }
    const { user, tier } = identity.caller;
    const limit = this.#tiers.get(tier ?? usualTier) ?? this.#tiers.get(usualTier);
    return limit === undefined ? undefined : { key: `u:${user.id}`, limit };
  }

  #refusal(limit: RefusedBy, network: string, { resetMs }: Taken): ParleyError {
    this.#refused[limit].inc();
    return new ParleyError('rate_limited', undefined, { retryAfter: this.#offenders.refused(network, resetMs) });
  }
}

/** In the form of the draft "RateLimit header fields for HTTP" of the IETF: `"hour";r=999`. */
function headersOf(name: string, { limit, windowMs }: Rate, { remaining, resetMs }: Taken): Record<string, string> {
  const reset = resetMs > 0 ? `;t=${Math.ceil(resetMs / 1000)}` : '';
  return {
    RateLimit: `"${name}";r=${remaining}${reset}`,
    'RateLimit-Policy': `"${name}";q=${limit};w=${Math.ceil(windowMs / 1000)}`,
  };
}

function merged(
  one: Readonly<Record<string, string>>,
  other: Readonly<Record<string, string>>,
): Record<string, string> {
  return Object.fromEntries(Object.entries(one).map(([name, value]) => [name, `${value}, ${other[name] ?? ''}`]));
}
