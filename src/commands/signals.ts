/** The rate of signals of a connection: a token bucket beside the one of its commands. */
import { ParleyError } from '../protocol/errors.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection } from '../hub/connection.ts';

export interface SignalLimits {
  readonly signalsPerSecond: number;
  readonly signalBurst: number;
}

/** @throws {ParleyError} `rate_limited` */
export function admitSignal(
  connection: Connection,
  { signalsPerSecond, signalBurst }: SignalLimits,
  metrics: Metrics,
  now: number = performance.now(),
): void {
  const refill = ((now - connection.signalsAt) / 1000) * signalsPerSecond;
  const credit = Math.min(signalBurst, (connection.signalCredit ?? signalBurst) + refill);
  connection.signalsAt = now;
  connection.signalCredit = credit;
  if (credit < 1) {
    metrics.signalsRefused.inc();
    const retryAfter = Math.ceil(((1 - credit) * 1000) / signalsPerSecond);
    throw new ParleyError('rate_limited', 'Too many signals; wait before the next one.', { retryAfter });
  }
  connection.signalCredit = credit - 1;
}
