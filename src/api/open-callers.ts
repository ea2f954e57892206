/** Opens the parts of REST that know its callers. */
import type { TokenSigning } from '../sessions/tokens.ts';
import type { ServerClock } from '../storage/clock.ts';
import type { Database } from '../storage/database.ts';
import type { Release } from '../storage/open.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Idempotency } from './idempotency.ts';
import { ApiKeys, type ApiKeySettings } from './keys/api-keys.ts';
import { WalletNonces } from './wallet/nonces.ts';
import { WalletSignIn, type WalletSettings } from './wallet/wallet-sign-in.ts';

interface CallerBase {
  readonly metrics: Metrics;
  readonly log: Log;
  readonly releases: Release[];
}

/** The API keys of back ends. */
export function openApiKeys(
  settings: ApiKeySettings,
  { database, clock }: { readonly database: Database; readonly clock: ServerClock },
  { metrics, log, releases }: CallerBase,
): ApiKeys {
  const keys = new ApiKeys({ sql: database.sql, settings, now: () => clock.now(), metrics, log });
  releases.push(() => keys.stop());
  return keys;
}

/** The answers to writes of REST that a client may repeat. */
export function openIdempotency({ sql, background }: Database, { metrics, log, releases }: CallerBase): Idempotency {
  const idempotency = new Idempotency({ sql, background, metrics, log });
  releases.push(() => idempotency.stop());
  return idempotency;
}

/** @returns undefined: users do not sign in by wallet. */
export function openWalletSignIn(
  settings: WalletSettings | undefined,
  signing: TokenSigning | undefined,
  { sql }: Database,
): WalletSignIn | undefined {
  if (settings === undefined || signing === undefined) return undefined;
  return new WalletSignIn({ ...settings, signing, nonces: new WalletNonces({ sql, secret: signing.secret }) });
}
