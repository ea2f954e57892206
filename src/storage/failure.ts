/** The meaning of a database error for the caller. */
import { ParleyError } from '../protocol/errors.ts';

/**
 * - `transient`: the same statement may succeed later (lost connection, deadlock, a restart, a race for a unique key).
 *   Whether it took effect is unknown after a lost connection.
 * - `data`: a value cannot be stored (SQLSTATE class 22, or a program limit); the other values of its batch can be.
 * - `fault`: any other error, which is a fault of Parley.
 */
export type Failure = 'transient' | 'data' | 'fault';

const transientStates = new Set([
  '23505', // unique race
  '25006', // read-only: a failover is on the way
  '25P03', // idle in a transaction for too long
  '25P04', // transaction timeout
  '26000', // a prepared statement is unknown: behind a pooler the session is another one
  '3D000', // the database is being created again
  '40001', // serialization
  '40P01', // deadlock
  '42P05', // a prepared statement is there already: as 26000
  '55P03', // lock timeout
  '57014', // statement timeout
  '57P01', // shutting down
  '57P02',
  '57P03', // starting up
  '57P04', // the database was dropped
  '57P05', // idle for too long
  '58000', // system error
  '58030', // input or output error
]);

/** States by which a session says that it, or its server, takes no more work; see `sessionUnfit`. */
const unfitStates = /^(08...|25006|25P0[34]|26000|42P05|53300|57P0[1-5])$/;

/** A session this young that is read-only shows that its server is: the next one would be no better. */
const replacedAfterMs = 1000;

/**
 * Whether a session that answered with this error leaves the pool, so that a new one takes its place. A session that
 * became read-only (a failover behind a proxy, a setting of the cluster) would otherwise refuse writes for its whole
 * life. A read-only server is tried with new sessions at most once a second for each place in the pool.
 */
export function sessionUnfit(error: { code: string; severity: string }, ageMs: number): boolean {
  if (error.severity === 'FATAL' || error.severity === 'PANIC') return true;
  return unfitStates.test(error.code) && (error.code !== '25006' || ageMs >= replacedAfterMs);
}

const transientCodes = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_DESTROYED',
  'CONNECTION_ENDED',
  'CONNECTION_SILENT',
  'CONNECT_TIMEOUT',
  'EADDRNOTAVAIL', // no local port is left
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'EMFILE', // this process may open no more files
  'ENETDOWN',
  'ENETUNREACH',
  'ENFILE',
  'ENOBUFS',
  'ENOENT', // the unix socket of a server that is down
  'ENOTFOUND',
  'POOL_TIMEOUT',
  'UNSAFE_TRANSACTION', // the session was found inside a transaction and is ended
  'EPIPE',
  'ETIMEDOUT',
  'EPROTO',
  'NO_CHANNEL_BINDING',
  'NO_TLS', // the server was started without
]);

/** A certificate that has expired, is of another name or authority, or a handshake that failed. */
const tlsCodes =
  /^(CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_CA|ERR_TLS_|ERR_SSL_|ERR_OSSL_)/;

export function failureOf(error: unknown): Failure {
  const code = sqlState(error);
  if (code === undefined) return 'fault';
  if (transientStates.has(code) || transientCodes.has(code) || tlsCodes.test(code)) return 'transient';
  // 08 connection exceptions, 28 a user or password that is being changed, 53 insufficient resources
  if (/^(08|28|53)...$/.test(code)) return 'transient';
  // 22 data exceptions, 54 program limits
  return /^(22|54)...$/.test(code) ? 'data' : 'fault';
}

/** The reason as a metric label: `connection` or the SQLSTATE's short name. */
export function transientReason(error: unknown): 'connection' | 'deadlock' | 'serialization' | 'unique' | 'other' {
  const code = sqlState(error) ?? '';
  if (code === '40P01') return 'deadlock';
  if (code === '40001') return 'serialization';
  if (code === '23505') return 'unique';
  return transientCodes.has(code) || tlsCodes.test(code) || /^(08|57P)/.test(code) ? 'connection' : 'other';
}

/** The error for a client: `overloaded` or `unavailable` where waiting helps. Any other error is returned as it is, and logged as a fault. */
export function clientError(error: unknown): unknown {
  if (error instanceof ParleyError || failureOf(error) !== 'transient') return error;
  if (sqlState(error) === 'POOL_TIMEOUT')
    return new ParleyError('overloaded', undefined, { retryAfter: 1000, cause: error });
  return new ParleyError('unavailable', undefined, { retryAfter: 1000, cause: error });
}

function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}
