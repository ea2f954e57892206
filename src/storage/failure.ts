/** What a database error means for whoever asked. */
import { ParleyError } from '../protocol/errors.ts';

/**
 * - `transient`: the same statement may succeed later (lost connection, deadlock, a restart, a race for a unique key).
 *   Whether it took effect is unknown after a lost connection.
 * - `data`: a value cannot be stored (SQLSTATE class 22, or a program limit); the others of its batch are innocent.
 * - `fault`: anything else, so a bug of ours.
 */
export type Failure = 'transient' | 'data' | 'fault';

const transientStates = new Set([
  '23505', // unique race
  '25006', // read-only: a failover is on the way
  '40001', // serialization
  '40P01', // deadlock
  '55P03', // lock timeout
  '57014', // statement timeout
  '57P01', // shutting down
  '57P02',
  '57P03', // starting up
  '57P05',
]);

const transientCodes = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_DESTROYED',
  'CONNECTION_ENDED',
  'CONNECTION_SILENT',
  'CONNECT_TIMEOUT',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT', // the unix socket of a server that is down
  'ENOTFOUND',
  'POOL_TIMEOUT',
  'UNSAFE_TRANSACTION', // the session was found inside a transaction and is ended
  'EPIPE',
  'ETIMEDOUT',
]);

export function failureOf(error: unknown): Failure {
  const code = sqlState(error);
  if (code === undefined) return 'fault';
  if (transientStates.has(code) || transientCodes.has(code)) return 'transient';
  // 08 connection exceptions, 53 insufficient resources
  if (/^(08|53)...$/.test(code)) return 'transient';
  // 22 data exceptions, 54 program limits
  return /^(22|54)...$/.test(code) ? 'data' : 'fault';
}

/** Why, as a metric label: `connection` or the SQLSTATE's short name. */
export function transientReason(error: unknown): 'connection' | 'deadlock' | 'serialization' | 'unique' | 'other' {
  const code = sqlState(error) ?? '';
  if (code === '40P01') return 'deadlock';
  if (code === '40001') return 'serialization';
  if (code === '23505') return 'unique';
  return transientCodes.has(code) || /^(08|57P)/.test(code) ? 'connection' : 'other';
}

/** The error for a client: `overloaded` or `unavailable` where waiting helps. Anything unexpected stays as it is, to be logged as a fault. */
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
