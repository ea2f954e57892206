/**
 * Removes devices that have ended their subscription. A provider in trouble may call all of them gone. Once `mostFailed` of the
 * calls of five minutes fail, no device of the provider is removed until the share has fallen. A provider is the origin of a
 * push service, or a service such as FCM. So a user whose own push service refuses everything stops no other clean-up.
 */
import type { postgres } from '../../storage/sql.ts';
import type { Log } from '../../telemetry/log.ts';
import type { PushMetrics } from '../../telemetry/push-metrics.ts';
import type { Outcome } from './channel.ts';

const windowMs = 5 * 60_000;
const bucketMs = 10_000;
const leastCalls = 200;
const mostFailed = 0.05;
/** Users name the origins of push services. The oldest one makes room for a further one. */
const mostProviders = 1000;

interface Bucket {
  readonly at: number;
  calls: number;
  failed: number;
}

export interface CleanUpParts {
  readonly sql: postgres.Sql;
  readonly calls: Pick<PushMetrics, 'devicesKept' | 'devicesRemoved'>;
  readonly log: Log;
  readonly now?: () => number;
}

export interface GoneDevice {
  readonly id: string;
  readonly address: string;
  readonly provider: string;
}

export class CleanUp {
  readonly #parts: CleanUpParts;
  readonly #providers = new Map<string, Bucket[]>();

  constructor(parts: CleanUpParts) {
    this.#parts = parts;
  }

  /** Notes the outcome of a call. */
  note(provider: string, outcome: Outcome): void {
    const buckets = this.#bucketsOf(provider);
    const at = Math.floor(this.#now() / bucketMs) * bucketMs;
    let last = buckets.at(-1);
    if (last?.at !== at) {
      last = { at, calls: 0, failed: 0 };
      buckets.push(last);
    }
    last.calls++;
    // the size of one payload says nothing about the service
    if (outcome.kind !== 'sent' && outcome.kind !== 'too_large') last.failed++;
  }

  allows(provider: string): boolean {
    const buckets = this.#bucketsOf(provider);
    const calls = buckets.reduce((sum, bucket) => sum + bucket.calls, 0);
    const failed = buckets.reduce((sum, bucket) => sum + bucket.failed, 0);
    return calls < leastCalls || failed < calls * mostFailed;
  }

  /** Removes the device if its address is still the one that was called gone. */
  async remove({ id, address, provider }: GoneDevice): Promise<void> {
    const { sql, calls, log } = this.#parts;
    if (!this.allows(provider)) {
      calls.devicesKept.inc();
      return;
    }
    const rows = await sql`delete from devices where id = ${id}::uuid and address = ${address} returning id`;
    if (rows.length === 0) return;
    calls.devicesRemoved.inc();
    log.debug({ device: id }, 'A device has ended its subscription; the server has removed the device.');
  }

  /** The buckets of the last five minutes. The provider becomes the latest one. */
  #bucketsOf(provider: string): Bucket[] {
    const from = this.#now() - windowMs;
    const buckets = (this.#providers.get(provider) ?? []).filter(({ at }) => at > from);
    this.#providers.delete(provider);
    const [oldest] = this.#providers.size >= mostProviders ? this.#providers.keys() : [];
    if (oldest !== undefined) this.#providers.delete(oldest);
    this.#providers.set(provider, buckets);
    return buckets;
  }

  #now(): number {
    return (this.#parts.now ?? Date.now)();
  }
}
