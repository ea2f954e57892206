/** A service that carries pushes to devices of one kind. A further service is one further file with this interface. */
import type { Lane } from '../../protocol/lanes.ts';

/** Where a push goes, as the table `devices` has it. */
export interface Target {
  readonly address: string;
  /** JSON, or null. */
  readonly secrets: string | null;
}

export interface Push {
  /** The JSON that the device gets. */
  readonly payload: string;
  readonly lane: Lane;
  /** A later push of the same topic replaces this one while the device cannot be reached. */
  readonly topic: string;
  /** The service gives up after this time. */
  readonly ttlMs: number;
}

/**
 * - `sent`: the service has the push.
 * - `gone`: the device has ended its subscription.
 * - `refused`: no later attempt can succeed.
 * - `failed`: a later attempt may succeed, after `waitMs` at the earliest.
 */
export type Outcome =
  | { readonly kind: 'sent' }
  | { readonly kind: 'gone'; readonly error: string }
  | { readonly kind: 'refused'; readonly error: string }
  | { readonly kind: 'failed'; readonly error: string; readonly waitMs?: number };

export interface Transport {
  /** Never rejects for what the service or the network does. @returns undefined: `signal` broke the call off */
  send(target: Target, push: Push, signal: AbortSignal): Promise<Outcome | undefined>;
}
