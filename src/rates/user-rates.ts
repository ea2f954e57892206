import { systemClock, type Clock } from '../jobs/clock.ts';
import { Allowance } from './allowance.ts';
import type { OpenRates } from './open.ts';
import type { Rate, Rates } from './rates.ts';

export interface UserRateSettings {
  /** Entries such as `standard=600`: messages a minute. */
  readonly tiers: readonly string[];
  readonly connectsPerMinutePerUser: number;
  readonly joinsPerMinutePerUser: number;
  readonly invitationsPerMinutePerUser: number;
}

/** For tokens that name none, or one that is not configured. */
const defaultTier = 'standard';
const minute = 60_000;

/** The rates of one user a minute, over all devices of the user and all nodes. */
export class UserRates {
  readonly #sends: Allowance;
  readonly #connects: Allowance;
  readonly #joins: Allowance;
  readonly #invitations: Allowance;
  readonly #tiers: ReadonlyMap<string, Rate>;
  readonly #connectRate: Rate;
  readonly #joinRate: Rate;
  readonly #invitationRate: Rate;

  constructor(settings: UserRateSettings, rates: Rates, clock: Clock = systemClock) {
    this.#sends = new Allowance({ rates, name: 'send', clock });
    this.#connects = new Allowance({ rates, name: 'connect', clock });
    this.#joins = new Allowance({ rates, name: 'join', clock });
    this.#invitations = new Allowance({ rates, name: 'invite', clock });
    this.#tiers = new Map(
      settings.tiers.map((entry) => {
        const [name = '', limit] = entry.split('=');
        return [name, { limit: Number(limit), windowMs: minute }];
      }),
    );
    this.#joinRate = { limit: settings.joinsPerMinutePerUser, windowMs: minute };
    this.#invitationRate = { limit: settings.invitationsPerMinutePerUser, windowMs: minute };
    this.#connectRate = { limit: settings.connectsPerMinutePerUser, windowMs: minute };
  }

  /** Counts a message. @returns undefined: go on at once. @throws {ParleyError} `rate_limited`, or rejects with it. */
  send(user: string, tier: string | null): Promise<void> | undefined {
    if (this.#tiers.size === 0) return undefined;
    const rate = this.#tiers.get(tier ?? defaultTier) ?? this.#tiers.get(defaultTier);
    return rate === undefined ? undefined : this.#sends.spend(user, rate);
  }

  /** Counts a CONNECT. @throws {ParleyError} `rate_limited`, or rejects with it. */
  connect(user: string): Promise<void> | undefined {
    return this.#connects.spend(user, this.#connectRate);
  }

  /** Counts a room that the user joins or leaves. @throws {ParleyError} `rate_limited`, or rejects with it. */
  join(user: string): Promise<void> | undefined {
    return this.#joins.spend(user, this.#joinRate);
  }

  /** Counts a user who is added or invited by this user. @throws {ParleyError} `rate_limited`, or rejects with it. */
  invite(user: string): Promise<void> | undefined {
    return this.#invitations.spend(user, this.#invitationRate);
  }

  /** The rates may have lost counts. */
  verify(): void {
    for (const allowance of this.#all()) allowance.verify();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all().map((allowance) => allowance.stop()));
  }

  #all(): Allowance[] {
    return [this.#sends, this.#connects, this.#joins, this.#invitations];
  }
}

export function openUserRates(settings: UserRateSettings, { rates, redis }: OpenRates): UserRates {
  const users = new UserRates(settings, rates);
  redis?.onLoss(() => users.verify());
  // a replica that took the master's place may lack the last seconds
  redis?.onWritable((writable) => writable && users.verify());
  return users;
}
