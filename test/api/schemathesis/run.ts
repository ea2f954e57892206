/**
 * schemathesis against a started server with a Postgres and a Redis: `node --import tsx test/api/schemathesis/run.ts --seconds 600`.
 * All checks run with an API key, with a key that names a user, with a key of each scope, and with a token. The exit status is
 * 77 on a machine without Python or without schemathesis. `npm run build` must have been run.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
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

const version = '4.32.5';
const leftOut = 77;
const leastSeconds = 50;
const here = fileURLToPath(new URL('.', import.meta.url));

interface Caller {
  readonly name: string;
  readonly headers: readonly string[];
  /** The part of the time that this caller gets. */
  readonly share: number;
}

/** @returns the program; undefined: this machine cannot install it */
function schemathesis(folder: string): string | undefined {
  const given = process.env['SCHEMATHESIS'];
  if (given !== undefined) return given;
  try {
    execFileSync('python3', ['-m', 'venv', folder], { stdio: 'ignore' });
    const pip = join(folder, 'bin', 'pip');
    execFileSync(pip, ['install', '--quiet', '--disable-pip-version-check', `schemathesis==${version}`], {
      stdio: 'ignore',
    });
  } catch {
    return undefined;
  }
  const program = join(folder, 'bin', 'schemathesis');
  return existsSync(program) ? program : undefined;
}

async function check(program: string, seconds: number, seed: string, folder: string): Promise<boolean> {
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
    // schemathesis needs half a minute before its first request
    const callers = (await callersOf(server.url, postgres.url)).slice(
      0,
      Math.max(1, Math.floor(seconds / leastSeconds)),
    );
    const all = callers.reduce((sum, { share }) => sum + share, 0);
    let passed = true;
    for (const { name, headers, share } of callers) {
      const time = Math.round((seconds * share) / all);
      console.log(`== schemathesis as ${name}, ${time} s`);
      const { status } = spawnSync(
        program,
        [
          '--config-file',
          join(here, 'schemathesis.toml'),
          'run',
          `${server.url}/api/v1/openapi.json`,
          `--url=${server.url}/api/v1`,
          '--checks=all',
          `--max-time=${time}`,
          `--seed=${seed}`,
          '--suppress-health-check=all',
          '--request-timeout=20',
          '--continue-on-failure',
          '--warnings=off',
          '--no-color',
          ...headers.map((header) => `--header=${header}`),
        ],
        { cwd: folder, stdio: 'inherit', env: { ...process.env, SCHEMATHESIS_HOOKS: join(here, 'hooks.py') } },
      );
      passed &&= status === 0;
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

async function callersOf(url: string, databaseUrl: string): Promise<Caller[]> {
  const token = await tokenOf('tester', { ttlSeconds: 86_400 });
  const client = await connectStock(url, token);
  await client.ok('room:create', { kind: 'channel', name: 'Hall', id: 'hall' });
  for (let n = 0; n < 5; n++) {
    await client.ok('message:send', { room: 'hall', id: crypto.randomUUID(), body: { text: `message ${n}` } });
  }
  client.close();
  const database = await openServer({ url: databaseUrl, poolSize: 1 });
  const { sql } = database;
  const keys = new StoredKeys(sql, { maxKeys: 100, requestsPerHour: 100_000_000, overlapMs: 1000 });
  const bearer = async (...given: string[]): Promise<string> => {
    const { text } = await keys.create(keyCreateInput.parse({ name: 'schemathesis', scopes: given }));
    return `Authorization: Bearer ${text}`;
  };
  const admin = await bearer('admin');
  const found: Caller[] = [
    { name: 'a key for a user', headers: [admin, 'Parley-User: tester'], share: 3 },
    { name: 'a key', headers: [admin], share: 2 },
    { name: 'a user', headers: [`Authorization: Bearer ${token}`], share: 2 },
  ];
  for (const scope of scopes.filter((one) => one !== 'admin')) {
    found.push({ name: `a key with the scope ${scope}`, headers: [await bearer(scope)], share: 1 });
  }
  await database.close();
  return found;
}

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '600' }, seed: { type: 'string', default: '20261130' } },
});
const folder = temporaryFolder('parley-schemathesis-');
try {
  const program = schemathesis(join(folder, 'python'));
  if (program === undefined) {
    console.log('   no Python, or schemathesis cannot be installed: the check is left out');
    process.exitCode = leftOut;
  } else process.exitCode = (await check(program, Number(values.seconds), values.seed, folder)) ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
