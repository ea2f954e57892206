/**
 * Finds or starts the real servers that tests, benchmarks and scripts run against. Nothing here needs vitest.
 *
 * The ways of each server, in order: an address in the environment, a separate server from the binaries here, a container,
 * the package manager. When all fail the error says what to install: a suite
 * that skips its database would prove nothing.
 */
import { chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import postgres from 'postgres';
import { findBinaries, installPackage, majorVersion } from './binaries.ts';
import {
  freePort,
  run,
  runContainer,
  runServer,
  temporaryFolder,
  unprivileged,
  untilReady,
  type RunningServer,
} from './processes.ts';

export interface Service {
  readonly url: string;
  /** Where it came from, for the first line of a run. */
  readonly origin: string;
  stop(): Promise<void>;
}

/** A server that a test may end in any way: what it had on disk and its address stay. */
export interface OwnService extends Service {
  /** The pid of the server's first process, which changes with each `start`. */
  pid(): number;
  /** Ends it with this signal. Resolves when it has ended. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts it again, at the same address and with what it had on disk. Resolves when it answers. */
  start(): Promise<void>;
}

/** Undefined: this way does not exist on this machine, for the reason given to `because`. */
type Way<S extends Service = Service> = (because: (reason: string) => void) => Promise<S | undefined>;

export interface PostgresOptions {
  /** Off by default, for speed. Killing Parley loses nothing then; killing Postgres or the machine would. */
  readonly fsync?: boolean;
}

const postgresVersions = { oldest: 15, image: 'postgres:17-alpine', package: 'postgresql' };
const password = 'parley-test';

export function startPostgres(options: PostgresOptions = {}): Promise<Service> {
  const own = (bin: string) => launchPostgres(bin, options);
  return firstWay<Service>('Postgres 15 or later', 'TEST_DATABASE_URL', [
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
  return firstWay<Service>('Redis 7 or later', 'TEST_REDIS_URL', [
    fromEnvironment('TEST_REDIS_URL'),
    fromBinaries(findRedis, launchRedis),
    async (because) => {
      const container = await runContainer(['redis:7-alpine', 'redis-server', ...redisSettings], 6379, because);
      if (container === undefined) return undefined;
      return {
        url: `redis://127.0.0.1:${container.port}`,
        origin: 'container redis:7-alpine',
        stop: () => container.stop(),
      };
    },
    fromPackage('redis-server', findRedis, launchRedis),
  ]);
}

/** Postgres as a process of the caller's own, never one that was given or a container. */
export function startOwnPostgres(options: PostgresOptions = {}): Promise<OwnService> {
  const own = (bin: string) => launchPostgres(bin, options);
  return firstWay('a Postgres of their own, 15 or later,', undefined, [
    fromBinaries(findPostgres, own),
    fromPackage(postgresVersions.package, findPostgres, own),
  ]);
}

/** A standby that follows the Postgres of the URL, which it does not hold up. The standby takes reads until it is promoted. */
export function startStandby(primary: string): Promise<OwnService> {
  return firstWay('a Postgres of their own, 15 or later,', undefined, [
    fromBinaries(findPostgres, (bin) => launchStandby(bin, primary)),
  ]);
}

/** Redis as a process of the caller's own. This Redis keeps nothing on disk, and is empty after each start. */
export function startOwnRedis(): Promise<OwnService> {
  return firstWay('a Redis of their own, 7 or later,', undefined, [
    fromBinaries(findRedis, launchRedis),
    fromPackage('redis-server', findRedis, launchRedis),
  ]);
}

async function firstWay<S extends Service>(
  name: string,
  variable: string | undefined,
  ways: readonly Way<S>[],
): Promise<S> {
  const reasons: string[] = [];
  for (const way of ways) {
    const service = await way((reason) => reasons.push(reason));
    if (service !== undefined) return service;
  }
  throw new Error(
    `The tests need ${name}. Install it (Debian: apt-get install postgresql redis-server; macOS: brew install ` +
      `postgresql redis)${variable === undefined ? '' : `, or start Docker, or set ${variable}`}.\n` +
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

function fromBinaries<S extends Service>(find: () => string | undefined, start: (path: string) => Promise<S>): Way<S> {
  return async (because) => {
    const found = find();
    if (found !== undefined) return start(found);
    because('no such server in PATH or where packages put it');
    return undefined;
  };
}

function fromPackage<S extends Service>(
  name: string,
  find: () => string | undefined,
  start: (path: string) => Promise<S>,
): Way<S> {
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

async function launchPostgres(bin: string, options: PostgresOptions): Promise<OwnService> {
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
  return servePostgres(bin, folder, options);
}

async function launchStandby(bin: string, primary: string): Promise<OwnService> {
  // it may be in another folder than the server, and other versions beside it
  const tool = findBinaries('pg_basebackup')
    .map((folder) => join(folder, 'pg_basebackup'))
    .find((path) => majorVersion(path) === majorVersion(join(bin, 'postgres')));
  if (tool === undefined)
    throw new Error(`There is no pg_basebackup of the version of ${bin} (Debian: postgresql-client).`);
  const user = unprivileged('postgres');
  const folder = temporaryFolder('parley-standby-');
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  const args = ['-D', join(folder, 'data'), '-R', '-X', 'stream', '-c', 'fast', '-d', primary];
  await run(tool, args, { ...user, cwd: folder });
  return servePostgres(bin, folder, {});
}

async function servePostgres(bin: string, folder: string, options: PostgresOptions): Promise<OwnService> {
  const user = unprivileged('postgres');
  const data = join(folder, 'data');
  const port = await freePort();
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  const launch = (): RunningServer =>
    runServer(
      join(bin, 'postgres'),
      ['-D', data, '-p', String(port), '-k', folder, '-c', 'listen_addresses=127.0.0.1', ...postgresSettings(options)],
      { ...user, cwd: folder },
      // SIGINT: disconnect everybody and stop.
      { signal: 'SIGINT', folder },
    );
  return ownService(url, bin, launch, () => pingPostgres(url));
}

/** One that was killed may leave children for a moment, who hold what the next needs: so it is tried again for 20 s. */
async function ownService(
  url: string,
  origin: string,
  launch: () => RunningServer,
  ready: (server: RunningServer) => boolean | Promise<boolean>,
): Promise<OwnService> {
  let server = launch();
  await untilReady(() => ready(server), server);
  return {
    url,
    origin,
    pid: () => server.pid,
    kill: (signal) => server.kill(signal),
    async start() {
      for (const deadline = Date.now() + 20_000; ;) {
        server = launch();
        while (server.ended() === undefined) {
          if (await ready(server)) return;
          await delay(20);
        }
        if (Date.now() > deadline) throw new Error(server.ended());
        await delay(100);
      }
    },
    stop: () => server.stop(),
  };
}

function findRedis(): string | undefined {
  const folder = findBinaries('redis-server')[0];
  return folder && join(folder, 'redis-server');
}

const redisSettings = ['--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction'];

async function launchRedis(path: string): Promise<OwnService> {
  const folder = temporaryFolder('parley-redis-');
  const port = await freePort();
  const launch = (): RunningServer =>
    runServer(
      path,
      ['--bind', '127.0.0.1', '--port', String(port), '--dir', folder, ...redisSettings],
      { cwd: folder },
      { signal: 'SIGTERM', folder },
    );
  return ownService(`redis://127.0.0.1:${port}`, path, launch, (server) =>
    server.printed('Ready to accept connections'),
  );
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
