/** The entries in Redis, and the leases of loads. Every answer is undefined where Redis did not answer. */
import { randomBytes } from 'node:crypto';
import { every } from '../../jobs/periodic.ts';
import type { CacheMetrics } from '../../telemetry/cache-metrics.ts';
import type { Bus } from './bus.ts';
import type { Loaded } from './reads.ts';

export interface SharedTierOptions {
  readonly bus: Pick<Bus, 'command' | 'commands' | 'lease'>;
  readonly prefix: string;
  readonly maxBytes: number;
  readonly metrics: CacheMetrics;
}

export type Seen =
  | ({ readonly is: 'hit'; readonly remainingMs: number } & Loaded)
  /** `load`: this node has the lease of the key. `wait`: another node has. */
  | { readonly is: 'load' | 'wait'; readonly version: number; readonly stale: Loaded | undefined };

/** A node that dies in a load delays the next load of the key by this time. */
const loadLeaseMs = 1000;
const renewMs = 250;

export class SharedTier {
  readonly #options: SharedTierOptions;
  readonly #node = randomBytes(9).toString('base64url');
  #tokens = 0;

  constructor(options: SharedTierOptions) {
    this.#options = options;
  }

  newToken(): string {
    return `${this.#node}:${++this.#tokens}`;
  }

  async read(key: string, token: string): Promise<Seen | undefined> {
    const { bus, prefix } = this.#options;
    const { floor } = bus.lease;
    const seen = await bus.command('read', bus.commands.parleyCacheRead(prefix, key, floor, token, loadLeaseMs));
    if (seen === undefined) return undefined;
    if (seen[0] === 'hit') return { is: 'hit', remainingMs: seen[1], ...loadedOf(seen[2], seen[3]) };
    const [is, version, text, names] = seen;
    return { is, version, stale: text === null || names === null ? undefined : loadedOf(text, names) };
  }

  async store(
    key: string,
    token: string | undefined,
    version: number,
    { text, names }: Loaded,
    { freshMs, graceMs }: { readonly freshMs: number; readonly graceMs: number },
  ): Promise<'stored' | 'fenced' | 'newer' | undefined> {
    const { bus, prefix, maxBytes, metrics } = this.#options;
    const fresh = Math.ceil(freshMs);
    const joinedNames = names.join('\n');
    const bytes = Buffer.byteLength(text) + joinedNames.length + 2 * key.length + 250;
    const place: (string | number)[] = [prefix, key, token ?? '', version, fresh, fresh + graceMs];
    const sending = bus.commands.parleyCacheStore(...place, joinedNames, text, bytes, maxBytes);
    const answer = await bus.command('store', sending);
    if (answer === undefined) return undefined;
    if (answer[1] > 0) metrics.evict('shared', answer[1]);
    return answer[0];
  }

  /** Renews the lease of a load. @returns a function that ends it; with `true` it lets another node load at once */
  keepLease(key: string, token: string): (release: boolean) => Promise<void> {
    const { bus, prefix } = this.#options;
    const set = async (ms: number): Promise<void> => {
      await bus.command('lease', bus.commands.parleyCacheLease(prefix, key, token, ms));
    };
    const timer = every(() => set(loadLeaseMs), renewMs);
    return async (release) => {
      clearInterval(timer);
      if (release) await set(0);
    };
  }
}

function loadedOf(text: string, names: string): Loaded {
  return { text, names: names.split('\n') };
}
