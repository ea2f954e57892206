/**
 * A channel that leaves the server: pushes, e-mail. `ChannelHandler` is the part that all of them share. The handler decides
 * again, claims the attempt, calls `send`, notes the outcome and makes the next attempt. A further channel is one more
 * implementation of `OutwardChannel`, and the kinds of its devices in `src/protocol/devices.ts`.
 */
import type { DeviceKind } from '../../protocol/devices.ts';
import type { Channel } from '../../protocol/notifications.ts';
import type { Facts } from '../decide.ts';
import type { DueRow } from '../due-rows.ts';
import type { LaneJob } from '../lanes/lanes.ts';

/** A row of the ledger with its device. The columns are those of `channelColumns`. */
export interface ChannelRow extends DueRow {
  readonly device: string;
  /** Attempts so far. */
  readonly attempts: number;
  /** When the row was stored. */
  readonly noted_at: number;
  /** Null: the device is gone. */
  readonly device_kind: DeviceKind | null;
  readonly address: string | null;
}

/**
 * - `sent`: the service has the notification.
 * - `gone`: the device has ended its subscription. The row is dropped, and the device is removed if its address is unchanged.
 * - `too_large`: the service takes no notification of this size.
 * - `refused`: no later attempt can succeed.
 * - `failed`: a later attempt may succeed, after `waitMs` at the earliest. With `isPaused` there was no call.
 */
export type Outcome =
  | { readonly kind: 'sent' }
  | { readonly kind: 'gone' | 'too_large' | 'refused'; readonly error: string }
  | { readonly kind: 'failed'; readonly error: string; readonly waitMs?: number; readonly isPaused?: boolean };

export interface OutwardChannel<R extends ChannelRow = ChannelRow> {
  /** The channel of the ledger, and the kind of its jobs. */
  readonly name: Exclude<Channel, 'app'>;
  /** The rows behind jobs that still wait for a delivery, in one statement. */
  rows(jobs: readonly LaneJob[]): Promise<readonly R[]>;
  /** The facts for `decide` that only this channel has. */
  facts(row: R): Partial<Facts>;
  /** The provider of a device. One in trouble removes no device of its own, and does not concern other providers. */
  providerOf(row: R): string;
  /**
   * Sends one notification. A repetition carries the same key (`Topic`, `apns-collapse-id`, `Message-ID`), so a device shows one.
   * Never rejects for a fault of the service or the network. @returns undefined: `signal` broke the call off
   */
  send(row: R, signal: AbortSignal): Promise<Outcome | undefined>;
  /** Rows that devices may show, and that the user has read meanwhile. */
  read(rows: readonly R[]): Promise<void>;
}

/** Whether the service got no call. */
export const isPaused = (outcome: Outcome): boolean => outcome.kind === 'failed' && outcome.isPaused === true;
