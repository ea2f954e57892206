/** A service that carries pushes to devices of one kind. A further service is one further file with this interface. */
import type { Lane } from '../../protocol/lanes.ts';
import type { Outcome } from '../channels/channel.ts';

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

export interface Transport {
  /** The service behind the address, for the share of failed calls. */
  providerOf(address: string): string;
  /** Never rejects for what the service or the network does. @returns undefined: `signal` broke the call off */
  send(target: Target, push: Push, signal: AbortSignal): Promise<Outcome | undefined>;
}
