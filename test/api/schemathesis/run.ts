/**
 * schemathesis against a started server with a Postgres and a Redis: `node --import tsx test/api/schemathesis/run.ts --seconds 600`.
 * All checks run with an API key, with a key that names a user, with a key of each scope, and with a token. `--short` is the form
 * of CI. The exit status is 77 on a machine that cannot install schemathesis. `npm run build` must have been run.
 */
import { execFileSync, spawnSync, type ExecFileSyncOptions } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { StoredKeys } from '../../../src/api/keys/stored-keys.ts';
import { keyCreateInput } from '../../../src/protocol/keys.ts';
import { scopes } from '../../../src/protocol/scopes.ts';
import { openServer } from '../../../src/storage/database.ts';
import { total } from '../../support/metrics.ts';
import { temporaryFolder } from '../../support/processes.ts';
import { startPostgres, startRedis } from '../../support/services.ts';
import { spawnServer } from '../../support/spawn.ts';
import { connectStock } from '../../support/stock-client.ts';
import { testSecret, tokenOf } from '../../support/test-token.ts';

const leftOut = 77;
/** schemathesis needs half a minute before its first request. */
const leastSeconds = 50;
/** venv and pip take a quarter of a minute together. */
const installMs = 120_000;
/**
 * The broadest caller alone, and the requests that follow from OpenAPI without chance: these are the same in each run, however
 * fast the machine is. They take 11 s here.
 */
const shortSeconds = 120;
/** schemathesis ends within a few seconds of its time. A run that goes on hangs, and is a failure. */
const graceSeconds = 60;
const here = fileURLToPath(new URL('.', import.meta.url));

interface Caller {
  readonly name: string;
  /** The part of the time that this caller gets. */
  readonly share: number;
  /** A key alone cannot give the commands that are about a user. */
  readonly isUser: boolean;
  /** Each caller has a key and a user of its own: a run may revoke its key, or delete its user. */
  readonly headers: (scene: Scene) => Promise<readonly string[]>;
}

interface Scene {
  readonly user: string;
  readonly token: string;
  readonly key: (...scopes: string[]) => Promise<string>;
}

const keyHeader = async ({ key }: Scene, ...given: string[]): Promise<string> =>
  `Authorization: Bearer ${await key(...given)}`;

const callers: readonly Caller[] = [
  {
    name: 'a key for a user',
    share: 3,
    isUser: true,
    headers: async (scene) => [await keyHeader(scene, 'admin'), `Parley-User: ${scene.user}`],
  },
  { name: 'a key', share: 2, isUser: false, headers: async (scene) => [await keyHeader(scene, 'admin')] },
  {
    name: 'a user',
    share: 2,
    isUser: true,
    headers: ({ token }) => Promise.resolve([`Authorization: Bearer ${token}`]),
  },
  ...scopes
    .filter((one) => one !== 'admin')
    .map((scope) => ({
      name: `a key with the scope ${scope}`,
      share: 1,
      isUser: false,
      headers: async (scene: Scene) => [await keyHeader(scene, scope)],
    })),
];

const broadest = callers.slice(0, 1).map((caller) => [caller, shortSeconds] as const);

/** @returns the program; undefined: this machine cannot install it. The folder of the program stays for the next run. */
function schemathesis(): string | undefined {
  const given = process.env['SCHEMATHESIS'];
  if (given !== undefined) return given;
  const requirements = join(here, 'requirements.txt');
  const version = readFileSync(requirements, 'utf8')
    .trim()
    .replaceAll(/[^\w.]+/g, '-');
  const folder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'parley', version);
  const program = join(folder, 'bin', 'schemathesis');
  // an installation that ended early, or that is of another Python, does not start
  if (spawnSync(program, ['--version']).status === 0) return program;
  const pip = ['install', '--quiet', '--disable-pip-version-check', '--retries=1', '-r', requirements];
  try {
    const options: ExecFileSyncOptions = { stdio: ['ignore', 'ignore', 'pipe'], timeout: installMs };
    execFileSync('python3', ['-m', 'venv', '--clear', folder], options);
    execFileSync(join(folder, 'bin', 'pip'), pip, options);
  } catch (error) {
    console.log(`   ${(error as Error).message.trim()}`);
    return undefined;
  }
  return program;
}

interface RunOptions {
  readonly program: string;
  readonly seconds: number;
  readonly seed: string;
  readonly folder: string;
  readonly isShort: boolean;
}

async function check(options: RunOptions): Promise<boolean> {
  const { folder } = options;
  const postgres = await startPostgres();
  const redis = await startRedis();
  const server = await spawnServer({
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    PARLEY_JWT_SECRET: testSecret,
    PARLEY_HOST: '127.0.0.1',
    PARLEY_LOG_LEVEL: 'error',
    PARLEY_API_TIERS: 'off',
    PARLEY_API_SENSITIVE_PER_MINUTE: '1000000',
    PARLEY_API_KEY_REQUESTS_PER_HOUR: '100000000',
    PARLEY_API_KEY_FAILURES_PER_MINUTE_PER_ADDRESS: '1000000',
    PARLEY_COMMANDS_PER_SECOND: '1000000',
    PARLEY_COMMAND_BURST: '1000000',
    PARLEY_TRUSTED_PROXIES: '127.0.0.1',
    PARLEY_WALLET_DOMAINS: 'chat.example.com',
    PARLEY_UPLOAD_STORE: 'folder',
    PARLEY_UPLOAD_FOLDER: join(folder, 'uploads'),
    PARLEY_UPLOAD_SECRET: testSecret,
  });
  try {
    let passed = true;
    for (const [caller, seconds] of options.isShort ? broadest : planOf(options)) {
      console.log(`== schemathesis as ${caller.name}, ${seconds} s`);
      const scene = await sceneOf(server.url, postgres.url, `tester-${callers.indexOf(caller)}`);
      passed = run(server.url, options, { caller, seconds, headers: await caller.headers(scene) }) && passed;
    }
    const errors = total(await server.metrics(), 'parley_internal_errors_total');
    const printed =
      server.stderr() +
      server
        .stdout()
        .replace(/^.*listens on.*$/gm, '')
        .trim();
    console.log(
      `internal errors ${errors}, running ${server.ended() === undefined}${printed === '' ? '' : `\n${printed}`}`,
    );
    return passed && errors === 0 && server.ended() === undefined;
  } finally {
    server.kill('SIGTERM');
    await server.exit();
    await redis.stop();
    await postgres.stop();
  }
}

/** The callers that get enough time, the broadest first. */
function planOf({ seconds }: RunOptions): [Caller, number][] {
  for (let count = callers.length; ; count--) {
    const chosen = callers.slice(0, count);
    const all = chosen.reduce((sum, { share }) => sum + share, 0);
    const plan = chosen.map((caller): [Caller, number] => [caller, Math.round((seconds * caller.share) / all)]);
    if (count === 1 || plan.every(([, time]) => time >= leastSeconds)) return plan;
  }
}

interface CallerRun {
  readonly caller: Caller;
  readonly seconds: number;
  readonly headers: readonly string[];
}

function run(url: string, options: RunOptions, { caller, seconds, headers }: CallerRun): boolean {
  const { program, seed, folder } = options;
  const { status, error } = spawnSync(
    program,
    [
      '--config-file',
      join(here, 'schemathesis.toml'),
      'run',
      `${url}/api/v1/openapi.json`,
      `--url=${url}/api/v1`,
      '--checks=all',
      `--max-time=${seconds}`,
      ...(options.isShort ? ['--phases=coverage'] : []),
      `--seed=${seed}`,
      '--workers=1',
      '--suppress-health-check=all',
      '--request-timeout=20',
      '--continue-on-failure',
      '--warnings=off',
      '--no-color',
      // a signed link is no generated input, and its address is not under /api/v1
      '--exclude-path-regex=^/files/',
      // such an operation refuses a key that names no user
      ...(caller.isUser ? [] : ['--exclude-by=/x-needs-user == true']),
      ...headers.map((header) => `--header=${header}`),
    ],
    {
      cwd: folder,
      stdio: 'inherit',
      timeout: (seconds + graceSeconds) * 1000,
      killSignal: 'SIGKILL',
      env: {
        ...process.env,
        SCHEMATHESIS_HOOKS: join(here, 'hooks.py'),
        ...(headers.some((header) => header.startsWith('Parley-User:')) ? { PARLEY_NAMES_USER: '1' } : {}),
      },
    },
  );
  if (error !== undefined) console.log(`schemathesis did not end by itself: ${error.message}`);
  return status === 0;
}

/** A user with a room and messages, and keys. */
async function sceneOf(url: string, databaseUrl: string, user: string): Promise<Scene> {
  const token = await tokenOf(user, { ttlSeconds: 86_400 });
  const client = await connectStock(url, token);
  const room = `hall-${user}`;
  await client.ok('room:create', { kind: 'channel', name: 'Hall', id: room });
  for (let n = 0; n < 5; n++) {
    await client.ok('message:send', { room, id: crypto.randomUUID(), body: { text: `message ${n}` } });
  }
  client.close();
  return {
    user,
    token,
    key: async (...given) => {
      const database = await openServer({ url: databaseUrl, poolSize: 1 });
      const keys = new StoredKeys(database.sql, { maxKeys: 10_000, requestsPerHour: 100_000_000, overlapMs: 1000 });
      const { text } = await keys.create(keyCreateInput.parse({ name: 'schemathesis', scopes: given }));
      await database.close();
      return text;
    },
  };
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    short: { type: 'boolean', default: false },
    seed: { type: 'string', default: '20261130' },
  },
});
const folder = temporaryFolder('parley-schemathesis-');
try {
  const program = schemathesis();
  if (program === undefined) {
    console.log('   no Python, or schemathesis cannot be installed: the check is left out');
    process.exitCode = leftOut;
  } else {
    const { seed, short: isShort } = values;
    process.exitCode = (await check({ program, seconds: Number(values.seconds), seed, folder, isShort })) ? 0 : 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
