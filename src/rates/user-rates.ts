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
  /** Messages, by the tier of the token. */
  readonly sends: Allowance;
  readonly connects: Allowance;
  /** Rooms that the user joins or leaves. */
  readonly joins: Allowance;
  /** Users who are added or invited by this user. */
  readonly invitations: Allowance;

  constructor(settings: UserRateSettings, rates: Rates, clock: Clock = systemClock) {
    const tiers = new Map<string, Rate>(
      settings.tiers.map((entry) => {
        const [name = '', limit] = entry.split('=');
        return [name, { limit: Number(limit), windowMs: minute }];
      }),
    );
    const ofTier = (tier: string | null): Rate | undefined => tiers.get(tier ?? defaultTier) ?? tiers.get(defaultTier);
    const parts = { rates, clock };
    this.sends = new Allowance({ ...parts, name: 'send', rateOf: ofTier });
    this.connects = new Allowance({ ...parts, name: 'connect', rateOf: fixed(settings.connectsPerMinutePerUser) });
    this.joins = new Allowance({ ...parts, name: 'join', rateOf: fixed(settings.joinsPerMinutePerUser) });
    this.invitations = new Allowance({
      ...parts,
      name: 'invite',
      rateOf: fixed(settings.invitationsPerMinutePerUser),
    });
  }

  /** The rates may have lost counts. */
  verify(): void {
    for (const allowance of this.#all()) allowance.verify();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all().map((allowance) => allowance.stop()));
  }

  #all(): Allowance[] {
    return [this.sends, this.connects, this.joins, this.invitations];
  }
}

export function openUserRates(settings: UserRateSettings, { rates, redis }: OpenRates): UserRates {
  const users = new UserRates(settings, rates);
  redis?.onLoss(() => users.verify());
  // a replica that took the master's place may lack the last seconds
  redis?.onWritable((writable) => writable && users.verify());
  return users;
}

function fixed(limit: number): () => Rate {
  const rate = { limit, windowMs: minute };
  return () => rate;
}
