/** Postgres: where the database is, and the connections to it. */
import { splitHosts } from '../../storage/hosts.ts';
import { number, text, url, type Parser } from '../values.ts';
import { key, secret } from './key.ts';

function databaseUrl(): Parser<string> {
  const one = url('postgres:', 'postgresql:');
  return (source) => {
    try {
      const parsed = one(splitHosts(source).url);
      return parsed.ok ? { ok: true, value: source } : parsed;
    } catch (error) {
      return { ok: false, expected: `other hosts: ${(error as Error).message}` };
    }
  };
}

export const databaseKeys = {
  dataDir: key('PARLEY_DATA_DIR', 'Folder of the embedded database and its secret.', text(1, 4096), './data'),
  databaseUrl: secret(
    'DATABASE_URL',
    'Postgres 15 or later: `postgres://user:password@host/db`. With several hosts (`host1:5432,host2:5432`) Parley uses the first that takes writes. With `?target_session_attrs=any` Parley uses the first that answers. Unset: the embedded database.',
    databaseUrl(),
  ),
  databasePoolSize: key(
    'PARLEY_DATABASE_POOL_SIZE',
    'Connections to Postgres for commits and other commands that write.',
    number(2, 1000),
    '10',
  ),
  databaseReadPoolSize: key(
    'PARLEY_DATABASE_READ_POOL_SIZE',
    'Connections to Postgres for history, sync, search and other reads.',
    number(1, 1000),
    '6',
  ),
  databaseBackgroundPoolSize: key(
    'PARLEY_DATABASE_BACKGROUND_POOL_SIZE',
    'Connections to Postgres for retention, deleted rooms, the outbox and the search index.',
    number(1, 1000),
    '2',
  ),
  databaseReadWaitMs: key(
    'PARLEY_DATABASE_READ_WAIT_MS',
    'Longest time that a read waits for its turn, and again for a connection. A read that waits longer is refused with `overloaded`.',
    number(100, 600_000),
    '10000',
  ),
  databaseReadTimeoutMs: key(
    'PARLEY_DATABASE_READ_TIMEOUT_MS',
    'Longest time that one statement of a read runs in Postgres. `?statement_timeout=` in DATABASE_URL takes precedence.',
    number(100, 600_000),
    '15000',
  ),
} as const;
