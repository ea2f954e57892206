/**
 * Finds or starts the real servers that tests, benchmarks and scripts run against. Nothing here needs vitest.
 *
 * For each server the ways are tried in order: the address in an environment variable, a server of our own from the
 * binaries on this machine, a container, the package manager. When all fail the error says what to install: a suite
 * that skips its database would prove nothing.
 */
import { chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import postgres from 'postgres';
import { findBinaries, installPackage, majorVersion } from './binaries.ts';
import { runContainer, unprivileged, run, runServer, freePort, temporaryFolder, untilReady } from './processes.ts';

export interface Service {
  readonly url: string;
  /** Where it came from, for the first line of a run. */
  readonly origin: string;
  stop(): Promise<void>;
}

/** Undefined: this way does not exist on this machine, for the reason given to `because`. */
type Way = (because: (reason: string) => void) => Promise<Service | undefined>;

export interface PostgresOptions {
  /** Off by default, for speed. Killing a process of ours loses nothing then; killing Postgres or the machine would. */
  readonly fsync?: boolean;
}

const postgresVersions = { oldest: 15, image: 'postgres:17-alpine', package: 'postgresql' };
const password = 'parley-test';

export function startPostgres(options: PostgresOptions = {}): Promise<Service> {
  const own = (bin: string) => startOwnPostgres(bin, options);
  return firstWay('Postgres 15 or later', 'TEST_DATABASE_URL', [
    fromEnvironment('TEST_DATABASE_URL'),
    fromBinaries(findPostgres, own),
    async (because) => {
      const container = await runContainer(
        ['-e', `POSTGRES_PASSWORD=${password}`, postgresVersions.image, ...postgresSettings(options)],
        5432,
        because,
      );
      if (container === undefined) return undefined;
      const url = `postgres://postgres:${password}@127.0.0.1:${container.port}/postgres`;
      await untilReady(() => pingPostgres(url), container);
      return { url, origin: `container ${postgresVersions.image}`, stop: () => container.stop() };
    },
    fromPackage(postgresVersions.package, findPostgres, own),
  ]);
}

export function startRedis(): Promise<Service> {
  return firstWay('Redis 7 or later', 'TEST_REDIS_URL', [
    fromEnvironment('TEST_REDIS_URL'),
    fromBinaries(findRedis, startOwnRedis),
    async (because) => {
      const container = await runContainer(['redis:7-alpine', 'redis-server', ...redisSettings], 6379, because);
      if (container === undefined) return undefined;
      return {
        url: `redis://127.0.0.1:${container.port}`,
        origin: 'container redis:7-alpine',
        stop: () => container.stop(),
      };
    },
    fromPackage('redis-server', findRedis, startOwnRedis),
  ]);
}

async function firstWay(name: string, variable: string, ways: readonly Way[]): Promise<Service> {
  const reasons: string[] = [];
  for (const way of ways) {
    const service = await way((reason) => reasons.push(reason));
    if (service !== undefined) return service;
  }
  throw new Error(
    `The tests need ${name}. Install it (Debian: apt-get install postgresql redis-server; macOS: brew install ` +
      `postgresql redis), or start Docker, or set ${variable}.\n` +
      reasons.map((reason) => `  - ${reason}`).join('\n'),
  );
}

function fromEnvironment(variable: string): Way {
  return (because) => {
    const url = process.env[variable];
    if (url === undefined || url === '') {
      because(`${variable} is not set`);
      return Promise.resolve(undefined);
    }
    return Promise.resolve({ url, origin: variable, stop: () => Promise.resolve() });
  };
}

function fromBinaries(find: () => string | undefined, start: (path: string) => Promise<Service>): Way {
  return async (because) => {
    const found = find();
    if (found !== undefined) return start(found);
    because('no such server in PATH or where packages put it');
    return undefined;
  };
}

function fromPackage(name: string, find: () => string | undefined, start: (path: string) => Promise<Service>): Way {
  return async (because) => {
    if (!(await installPackage(name, because))) return undefined;
    return fromBinaries(find, start)(because);
  };
}

/** The folder of the newest that is new enough. */
function findPostgres(): string | undefined {
  return findBinaries('postgres', 'initdb')
    .map((folder) => ({ folder, version: majorVersion(join(folder, 'postgres')) }))
    .filter(({ version }) => version >= postgresVersions.oldest)
    .sort((a, b) => b.version - a.version)[0]?.folder;
}

function postgresSettings(options: PostgresOptions): string[] {
  const settings = ['max_connections=300', 'timezone=UTC'];
  if (options.fsync !== true) settings.push('fsync=off', 'full_page_writes=off');
  return settings.flatMap((setting) => ['-c', setting]);
}

async function startOwnPostgres(bin: string, options: PostgresOptions): Promise<Service> {
  // Postgres refuses to run as root.
  const user = unprivileged('postgres');
  const folder = temporaryFolder('parley-postgres-');
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, password);
  if (user !== undefined) for (const path of [folder, passwordFile]) chownSync(path, user.uid, user.gid);
  const data = join(folder, 'data');
  await run(
    join(bin, 'initdb'),
    [
      '-D',
      data,
      '-U',
      'postgres',
      '-E',
      'UTF8',
      '--locale=C',
      '-A',
      'scram-sha-256',
      '--pwfile',
      passwordFile,
      '--no-sync',
    ],
    { ...user, cwd: folder },
  );
  const port = await freePort();
  const server = runServer(
    join(bin, 'postgres'),
    ['-D', data, '-p', String(port), '-k', folder, '-c', 'listen_addresses=127.0.0.1', ...postgresSettings(options)],
    { ...user, cwd: folder },
    // SIGINT: disconnect everybody and stop.
    { signal: 'SIGINT', folder },
  );
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  await untilReady(() => pingPostgres(url), server);
  return { url, origin: bin, stop: () => server.stop() };
}

function findRedis(): string | undefined {
  const folder = findBinaries('redis-server')[0];
  return folder && join(folder, 'redis-server');
}

const redisSettings = ['--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction'];

async function startOwnRedis(path: string): Promise<Service> {
  const folder = temporaryFolder('parley-redis-');
  const port = await freePort();
  const server = runServer(
    path,
    ['--bind', '127.0.0.1', '--port', String(port), '--dir', folder, ...redisSettings],
    { cwd: folder },
    { signal: 'SIGTERM', folder },
  );
  await untilReady(() => server.printed('Ready to accept connections'), server);
  return { url: `redis://127.0.0.1:${port}`, origin: path, stop: () => server.stop() };
}

async function pingPostgres(url: string): Promise<boolean> {
  const sql = postgres(url, { max: 1, connect_timeout: 2, onnotice: () => {} });
  try {
    await sql`select 1`;
    return true;
  } catch {
    return false;
  } finally {
    await sql.end({ timeout: 0 });
  }
}
