/**
 * Settings of libpq that a connection string may have. Parley applies a setting, or refuses the setting by name. An operator
 * would rely on a setting that Parley accepts and ignores.
 */
import { StartupError } from '../startup-error.ts';

export interface ConnectionSettings {
  /** Seconds; absent: the caller's own. */
  readonly connect_timeout?: number;
  /** Seconds until TCP probes an idle connection; null: it does not. Absent: the driver's own. */
  readonly keep_alive?: number | null;
  /** The password is proven for the TLS channel; the driver takes no other way of signing in. */
  readonly channel_binding?: 'require';
}

/** A setting that Parley has no use for is taken with the values that ask for nothing. */
const harmless: Readonly<Record<string, { readonly values: readonly string[]; readonly because: string }>> = {
  gssencmode: { values: ['disable', 'prefer'], because: 'Parley does not encrypt with GSSAPI; use sslmode' },
  sslcompression: { values: ['0'], because: 'Parley does not compress TLS' },
  load_balance_hosts: { values: ['disable'], because: 'Parley takes the first host that serves' },
  sslcertmode: { values: ['allow'], because: 'Parley sends a certificate where sslcert names one' },
  client_encoding: { values: ['utf8', 'utf-8', 'unicode', 'auto'], because: 'Parley reads and writes UTF8' },
  timezone: { values: ['utc'], because: 'Parley reads times in UTC' },
  datestyle: { values: ['iso'], because: 'Parley reads times in ISO form' },
};

const file = 'Parley reads no such file; put the values into DATABASE_URL';
const unsupported = 'Parley does not support the setting';
const refused: Readonly<Record<string, string>> = {
  passfile: file,
  service: file,
  servicefile: file,
  hostaddr: 'name the address as host',
  dbname: 'name the database in the path',
  user: 'name the user before the host',
  password: 'put the password before the host',
  sslcrldir: 'name a file with sslcrl',
  max: 'use PARLEY_DATABASE_POOL_SIZE',
  ...Object.fromEntries(
    [
      'require_auth requirepeer krbsrvname gsslib gssdelegation sslkeylogfile replication scram_client_key scram_server_key',
      'min_protocol_version max_protocol_version fallback_application_name',
      // options of the driver, which Parley sets
      'idle_timeout max_lifetime max_pipeline backoff keep_alive debug fetch_types publications',
    ]
      .join(' ')
      .split(' ')
      .map((name) => [name, unsupported]),
  ),
};

/** Takes what it knows out of the parameters; the rest is for the server. @throws {StartupError} */
export function readConnectionSettings(params: URLSearchParams): ConnectionSettings {
  for (const [name, value] of Array.from(params)) {
    const key = name.toLowerCase();
    const why = refused[key];
    if (why !== undefined) throw new StartupError(`DATABASE_URL: ${name}: ${why}`);
    const known = harmless[key];
    if (known === undefined) continue;
    if (!known.values.includes(value.toLowerCase()))
      throw new StartupError(`DATABASE_URL: ${name}=${value}: ${known.because}`);
    params.delete(name);
  }
  const binding = params.get('channel_binding');
  params.delete('channel_binding');
  if (binding !== null && !['disable', 'prefer', 'require'].includes(binding))
    throw new StartupError(`DATABASE_URL: channel_binding=${binding}: expected disable, prefer or require`);
  const timeout = params.get('connect_timeout');
  params.delete('connect_timeout');
  return {
    ...(timeout === null ? {} : { connect_timeout: seconds('connect_timeout', timeout) }),
    ...(binding === 'require' ? { channel_binding: 'require' } : {}),
    ...keepAlive(params),
  };
}

/** Limits of libpq for dead connections. Parley ends a connection that owes an answer by its own limit (database.ts). */
const ownLimit = ['keepalives_interval', 'keepalives_count', 'tcp_user_timeout'];

function keepAlive(params: URLSearchParams): ConnectionSettings {
  for (const name of ownLimit) {
    const value = params.get(name);
    if (value !== null && !/^\d+$/.test(value))
      throw new StartupError(`DATABASE_URL: ${name}=${value}: expected a whole number`);
    params.delete(name);
  }
  const [on, idle] = [params.get('keepalives'), params.get('keepalives_idle')];
  params.delete('keepalives');
  params.delete('keepalives_idle');
  if (on !== null && on !== '0' && on !== '1')
    throw new StartupError(`DATABASE_URL: keepalives=${on}: expected 0 or 1`);
  if (on === '0') return { keep_alive: null };
  return idle === null ? {} : { keep_alive: seconds('keepalives_idle', idle) };
}

/** 0 would mean no limit, or the system's default: Parley always has a limit of its own. */
function seconds(name: string, value: string): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < 1 || number > 3600)
    throw new StartupError(`DATABASE_URL: ${name}=${value}: expected seconds from 1 to 3600`);
  return number;
}

const units: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  '': 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds of a time as Postgres reads it, such as 15000, 15s or 1min; 0: no limit. */
export function durationOf(name: string, value: string): number {
  const [, number = '', unit = ''] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/.exec(value) ?? [];
  const ms = number === '' ? NaN : Number(number) * (units[unit] ?? NaN);
  if (Number.isNaN(ms))
    throw new StartupError(`DATABASE_URL: ${name}=${value}: expected milliseconds, or a time such as 15s or 1min`);
  return ms;
}
