import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Notifications, postgres } from './sql.ts';
import { errorCode, StartupError } from '../startup-error.ts';
import { createClient, type LeftTransaction, type PatchedOptions } from './client.ts';
import { durationOf } from './connection-settings.ts';
import { readConnectionUrl } from './connection-url.ts';
import { readSettings, synchronousCommit, type ServerSettings } from './durability.ts';
import { startEmbeddedPostgres } from './embedded/bridge.ts';
import { startMaintenance } from './embedded/maintenance.ts';
import { failureOf } from './failure.ts';
import { splitHosts, type HostList } from './hosts.ts';
import { Subscribers } from './subscribers.ts';

/**
 * The one form of storage: Postgres behind a `postgres` client. `embedded` is PGlite in a worker thread, `server` is
 * the server of DATABASE_URL. All other parts use only `sql`; `client.ts` describes its values.
 */
export interface Database {
  /** Commits and other commands that write. */
  readonly sql: postgres.Sql;
  /** History, sync, search: a commit never waits behind one of them. Embedded there is one session, so `sql` itself. */
  readonly reads: postgres.Sql;
  /**
   * For the lease (see lease.ts). The lease ends after 3 s, and commits may wait for a lock for longer, so the lease waits
   * behind no commit.
   */
  readonly lease: postgres.Sql;
  /** Retention, purges, the outbox, the search index. */
  readonly background: postgres.Sql;
  readonly notifications: Notifications;
  readonly kind: 'embedded' | 'server';
  /** As the server had them for new sessions at the start; absent: embedded. */
  readonly settings?: ServerSettings;
  /** Runs a step of the start. @throws {StartupError} where the step failed for a reason that the operator can fix. */
  explaining<T>(step: () => Promise<T>): Promise<T>;
  /** Runs migrations on a session of their own, which may be silent for as long as a migration takes. */
  migrating<T>(step: (sql: postgres.Sql) => Promise<T>): Promise<T>;
  /**
   * Opens sessions for the tables of a library, in a schema of their own. Embedded there is one session, which finds the tables
   * of Parley first.
   */
  openSchema(schema: string, poolSize: number): Promise<SchemaSessions>;
  /** Waits for running queries (at most 5 s), then ends the connections and, when embedded, the worker. */
  close(): Promise<void>;
}

export interface SchemaSessions {
  readonly sql: postgres.Sql;
  close(): Promise<void>;
}

const closeTimeoutSeconds = 5;

/**
 * For every session. Every query uses an index and reads a page. The planner's statistics may be of a time when the tables
 * were small and a full scan was cheaper. Compilation of a query for its estimated cost (`jit`) took 2.6 s for a `sync` of
 * 2 ms.
 */
export const planning = { enable_seqscan: 'off', jit: 'off', random_page_cost: '1.1' };

export interface EmbeddedOptions {
  /** The data folder, already locked by `openDataFolder`; the database lives in its `postgres` subfolder. */
  readonly dataDir: string;
  /** The worker died: every query fails from now on and the process should end. */
  readonly onFatal: (error: Error) => void;
  /** A round of vacuum or checkpoint failed; it is tried again in the next one. */
  readonly onMaintenanceError?: (error: unknown) => void;
  readonly onUnsafe?: OnUnsafe;
}

/** A pooled connection is inside a transaction without an owner. The driver ends the connection. */
export type OnUnsafe = (left: LeftTransaction) => void;

export async function openEmbedded(options: EmbeddedOptions): Promise<Database> {
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
  const path = join(options.dataDir, 'postgres');
  // The client never finishes a query whose connection broke, so after a fault `close` does not wait.
  let patienceSeconds = closeTimeoutSeconds;
  const onFatal = (error: Error): void => {
    patienceSeconds = 0;
    options.onFatal(error);
  };
  const embedded = await startEmbeddedPostgres({ path, onFatal }).catch((error: unknown) => {
    throw new StartupError(`The embedded database in ${path} cannot be opened: ${messageOf(error)}`, { cause: error });
  });
  const subscribers = new Subscribers();
  const sql = createClient('postgres://postgres@embedded/postgres', {
    socket: embedded.connect,
    onnotify: subscribers.onnotify,
    // There is one session, so several connections would only wait for each other; one connection pipelines too.
    max: 1,
    max_lifetime: null,
    idle_timeout: 0,
    ...(options.onUnsafe === undefined ? {} : { onunsafe: options.onUnsafe }),
  } as object);
  // one session, which takes nothing from how a connection begins
  await sql`
    select set_config(name, value, false)
    from unnest(${Object.keys(planning)}::text[], ${Object.values(planning)}::text[]) as s (name, value)`;
  const maintenance = startMaintenance(sql, options.onMaintenanceError ?? (() => {}));
  return {
    sql,
    reads: sql,
    lease: sql,
    background: sql,
    // there is one session, so the session of all statements listens too
    notifications: subscribers.of(sql, () => Promise.resolve()),
    kind: 'embedded',
    migrating: (step) => step(sql),
    explaining: (step) => step(),
    openSchema: async (schema) => {
      await sql`select set_config('search_path', ${`public, ${schema}`}, false)`;
      return { sql, close: () => Promise.resolve() };
    },
    async close() {
      await maintenance.stop();
      await sql.end({ timeout: patienceSeconds });
      await embedded.close();
    },
  };
}

export interface ServerOptions {
  readonly url: string;
  readonly poolSize: number;
  readonly connectTimeoutSeconds?: number;
  /** The server ends a statement that runs longer; `?statement_timeout=` in the URL goes before it. */
  readonly statementTimeoutMs?: number;
  /** Absent: reads use the connections of `sql`. */
  readonly reads?: ReadPoolOptions;
  /** Whether the lease has connections of its own; absent: it uses those of `sql`. */
  readonly isNode?: boolean;
  /** Connections; absent: background work uses those of `sql`. */
  readonly backgroundPoolSize?: number;
  readonly onUnsafe?: OnUnsafe;
}

export interface ReadPoolOptions {
  readonly size: number;
  /** A read that waited longer for a connection fails with `POOL_TIMEOUT`. */
  readonly waitMs: number;
  readonly statementTimeoutMs: number;
}

export const oldestServerVersion = 15;

/** Connects once before it returns. @throws {StartupError} one line about the fault of the URL or the server */
export async function openServer(options: ServerOptions): Promise<Database> {
  const { url, connectTimeoutSeconds = 10, statementTimeoutMs = 15_000, reads: read, backgroundPoolSize } = options;
  const settings = await inspectServer(url, connectTimeoutSeconds);
  const quiet = silence(url, statementTimeoutMs);
  const sql = openPool(options, settings, options.poolSize, statementTimeoutMs, quiet);
  const reads = read === undefined ? sql : openReadPool(options, settings, read);
  const background =
    backgroundPoolSize === undefined ? sql : openPool(options, settings, backgroundPoolSize, statementTimeoutMs, quiet);
  const lease = options.isNode === true ? openLeasePool(options, settings) : sql;
  const pools = [...new Set([sql, reads, lease, background])];
  return {
    sql,
    reads,
    lease,
    background,
    notifications: openNotifications(options, settings),
    kind: 'server',
    settings,
    migrating: async (step) => {
      const own = openPool(options, settings, 1, statementTimeoutMs);
      try {
        return await step(own);
      } finally {
        await own.end({ timeout: closeTimeoutSeconds });
      }
    },
    explaining: async (step) => {
      try {
        return await step();
      } catch (error) {
        throw startupFailure(error, url);
      }
    },
    openSchema: (schema, poolSize) => {
      const own = openPool(options, settings, poolSize, statementTimeoutMs, quiet);
      Object.assign(own.options.connection, { search_path: schema });
      return Promise.resolve({ sql: own, close: () => own.end({ timeout: closeTimeoutSeconds }) });
    },
    async close() {
      await Promise.all(pools.map((pool) => pool.end({ timeout: closeTimeoutSeconds })));
    },
  };
}

function openPool(
  options: ServerOptions,
  settings: ServerSettings,
  max: number,
  statement_timeout: number,
  more: PatchedOptions = {},
): postgres.Sql {
  const sql = createClient(options.url, {
    max,
    connect_timeout: options.connectTimeoutSeconds ?? 10,
    connection: { ...planning, statement_timeout },
    ...(options.onUnsafe === undefined ? {} : { onunsafe: options.onUnsafe }),
    ...more,
  });
  // here and not in the options, since a setting in the URL goes before those
  Object.assign(sql.options.connection, { synchronous_commit: synchronousCommit(settings) });
  return sql;
}

/** A read is sent when a connection is free, so that it never waits behind a slow one. Each of its waits has an end. */
function openReadPool(
  options: ServerOptions,
  settings: ServerSettings,
  { size, waitMs, statementTimeoutMs }: ReadPoolOptions,
): postgres.Sql {
  return openPool(options, settings, size, statementTimeoutMs, {
    max_pipeline: 0,
    wait_timeout: waitMs / 1000,
    ...silence(options.url, statementTimeoutMs),
  });
}

/** One for polls, one for reads of new changes. */
const leaseConnections = 2;
const leaseStatementMs = 5000;
const leaseSilenceMs = 6000;

/**
 * An answer after the end of the lease is useless, except for the first one after a start, which reads more. The timeouts of
 * the URL do not apply to these connections.
 */
function openLeasePool(options: ServerOptions, settings: ServerSettings): postgres.Sql {
  const sql = openPool(options, settings, leaseConnections, leaseStatementMs, {
    silence_timeout: leaseSilenceMs / 1000,
  });
  Object.assign(sql.options.connection, { statement_timeout: leaseStatementMs });
  return sql;
}

const notifyStatementMs = 3000;
const notifySilenceMs = 5000;

/** Each subscription has a session of its own, from its first `renew` to its end. */
function openNotifications(options: ServerOptions, settings: ServerSettings): Notifications {
  return {
    subscribe(channel, received) {
      const subscribers = new Subscribers();
      const own = { onnotify: subscribers.onnotify, idle_timeout: 0, max_lifetime: null };
      const sql = openPool(options, settings, 1, notifyStatementMs, {
        silence_timeout: notifySilenceMs / 1000,
        ...own,
      });
      return subscribers.of(sql, () => sql.end({ timeout: 0 })).subscribe(channel, received);
    },
  };
}

const silenceMarginMs = 10_000;
/** For a URL without a limit for statements. */
const silenceWithoutLimitMs = 600_000;

/** A server that sends no byte for longer than a statement may run is gone, or the network is. */
function silence(text: string, statementTimeoutMs: number): PatchedOptions {
  const given = new URL(readConnectionUrl(splitHosts(text).url).url).searchParams.get('statement_timeout');
  const ms = given === null ? statementTimeoutMs : durationOf('statement_timeout', given);
  return { silence_timeout: (ms > 0 ? ms + silenceMarginMs : silenceWithoutLimitMs) / 1000 };
}

/** A separate connection without settings, so that the values are those of the server. */
async function inspectServer(url: string, connectTimeoutSeconds: number): Promise<ServerSettings> {
  const where = describeServer(url);
  const sql = createClient(url, { max: 1, connect_timeout: connectTimeoutSeconds, fetch_types: false });
  try {
    await checkServer(sql, where);
    return await readSettings(sql);
  } catch (error) {
    throw startupFailure(error, url);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** The error as one line for an operator, where that line would be true; a fault of Parley stays as it is. */
function startupFailure(error: unknown, url: string): unknown {
  if (
    error instanceof StartupError ||
    (failureOf(error) === 'fault' && !/^(42501|0A000|3F000)$/.test(errorCode(error)))
  )
    return error;
  return new StartupError(connectFailure(error, describeServer(url)), { cause: error });
}

interface Server {
  readonly name: string;
  readonly user: string;
  readonly database: string;
}

/** Throws for a URL that is none; keeps of the others what may be shown. */
function describeServer(text: string): Server {
  const list = readHosts(text);
  let url: URL;
  try {
    url = new URL(list.url);
  } catch {
    throw new StartupError('DATABASE_URL is not a URL; expected postgres://user:password@host:5432/database');
  }
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:') {
    throw new StartupError(`DATABASE_URL must begin with postgres://, not ${url.protocol}//`);
  }
  const one = `${url.hostname || url.searchParams.get('host') || 'localhost'}:${url.port || '5432'}`;
  const several = list.hosts.map(({ host, port }) => `${host}:${port}`).join(', ');
  return {
    name: `Postgres at ${list.hosts.length === 1 ? one : several}`,
    user: decodeURIComponent(url.username),
    database: decodeURIComponent(url.pathname.slice(1)),
  };
}

function readHosts(text: string): HostList {
  try {
    return splitHosts(text);
  } catch (error) {
    throw new StartupError(`DATABASE_URL: ${messageOf(error)}`, { cause: error });
  }
}

async function checkServer(sql: postgres.Sql, where: Server): Promise<void> {
  const [server] = await sql<{ version: number; encoding: string; standby: boolean }[]>`
    select current_setting('server_version_num')::int / 10000 as version,
      current_setting('server_encoding') as encoding,
      pg_is_in_recovery() as standby`;
  if (server === undefined) throw new StartupError(`${where.name} does not answer like a Postgres server`);
  if (server.version < oldestServerVersion) {
    throw new StartupError(
      `${where.name} is version ${server.version}; Parley needs Postgres ${oldestServerVersion} or later`,
    );
  }
  if (server.encoding !== 'UTF8') {
    throw new StartupError(`The database ${where.database} is encoded in ${server.encoding}; Parley needs UTF8`);
  }
  if (server.standby)
    throw new StartupError(`${where.name} is a read-only standby; DATABASE_URL must name the primary`);
}

function connectFailure(error: unknown, where: Server): string {
  const code = errorCode(error);
  switch (code) {
    case '28P01':
    case '28000':
      return `${where.name} refuses the user "${where.user}": ${messageOf(error)}`;
    case '3D000':
      return `${where.name} has no database "${where.database}"; create it with createdb`;
    case '53300':
      return `${where.name} has no connection left for "${where.user}" (${messageOf(error)}); raise max_connections, or lower PARLEY_DATABASE_POOL_SIZE`;
    case '25006':
      return `${where.name} is read-only: ${messageOf(error)}`;
    case '42501':
      return `${where.name} does not let "${where.user}" do what Parley needs: ${messageOf(error)}`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${where.name} cannot be reached: the name of the host is unknown (${code})`;
    case 'NO_TLS':
      return `${where.name} has no TLS; turn it on there, or set another sslmode in DATABASE_URL`;
    case 'NO_CHANNEL_BINDING':
      return `${where.name} does not bind the password to the TLS channel, but DATABASE_URL has channel_binding=require`;
    case 'CONNECT_TIMEOUT':
      return `${where.name} cannot be reached: no answer in time`;
    default:
      return /^E[A-Z]+$/.test(code)
        ? `${where.name} cannot be reached: ${code}`
        : `${where.name} cannot be used: ${messageOf(error)} (${code})`;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
