import { decodeJwt } from 'jose';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TokenVerifier } from '../../src/sessions/tokens.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { testSecret } from '../support/server.ts';
import { runProgram } from '../support/spawn.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'parley-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const parley = (args: string[], env: Record<string, string> = {}) =>
  runProgram(args, { PARLEY_DATA_DIR: join(folder, 'data'), ...env }, folder);

describe('parley', () => {
  it('--help explains it', async () => {
    const { code, stdout, stderr } = await parley(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const word of ['serve', 'migrate', 'token', 'doctor', '--version', 'PARLEY_DATA_DIR']) {
      expect(stdout).toContain(word);
    }
  });

  it('--version prints the version', async () => {
    expect(await parley(['--version'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as unknown,
    });
  });

  it.each([
    [['serv'], 'There is no command serv.'],
    [['serve', '--port', '80'], "Unknown option '--port'"],
    [['token', '--user', 'a b'], 'token needs --user U: a user id is'],
    [['token', '--user', 'ann', '--ttl', 'soon'], '--ttl soon: expected a time'],
    [['token', '--user', 'ann', '--name', 'x'.repeat(41)], '--name: expected 1 to 40 characters'],
  ])('%j is refused in plain words', async (args, message) => {
    const { code, stdout, stderr } = await parley(args, { PARLEY_JWT_SECRET: testSecret });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^ {4}at /m);
    // nothing was made on the way
    expect(readdirSync(folder)).not.toContain('data');
  });

  it('lists every fault of the configuration, whatever the command', async () => {
    for (const command of ['serve', 'token']) {
      const { code, stderr } = await parley([command], { PORT: 'x', PARLEY_WRITER_BATCH: '0', PARLEY_UNKNOWN: '1' });
      expect(code).toBe(1);
      for (const key of ['PORT=x', 'PARLEY_WRITER_BATCH=0', 'PARLEY_UNKNOWN: unknown']) expect(stderr).toContain(key);
    }
  });
});

describe('parley token', () => {
  it('prints a token that the secret accepts', async () => {
    const args = ['token', '--user', 'ann', '--name', 'Ann', '--tier', 'premium', '--ttl', '2h'];
    const { code, stdout } = await parley(args, { PARLEY_JWT_SECRET: testSecret });
    expect(code).toBe(0);
    const verifier = await TokenVerifier.create({ secrets: [testSecret] });
    expect(await verifier.verify(stdout.trim())).toMatchObject({ user: 'ann', name: 'Ann', tier: 'premium' });
    const { iat = 0, exp = 0 } = decodeJwt(stdout.trim());
    expect(exp - iat).toBe(7200);
  });

  it('says where the secret would come from when there is none', async () => {
    expect((await parley(['token', '--user', 'ann'])).stderr).toMatch(/has no secret yet/);
    const server = { DATABASE_URL: 'postgres://localhost/x', PARLEY_JWKS_URL: 'https://id.example/keys' };
    expect((await parley(['token', '--user', 'ann'], server)).stderr).toMatch(/PARLEY_JWT_SECRET, which is not set/);
  });
});

describe('parley migrate and doctor', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase({ empty: true });
  });
  afterAll(() => database.drop());

  it('list the pending migrations, apply them, and then find the schema up to date', async () => {
    const env = { DATABASE_URL: database.url, PARLEY_JWT_SECRET: testSecret };
    const before = await parley(['doctor'], env);
    expect(before).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/ok {4}database: .*migrations to apply/) as unknown,
    });
    expect(await parley(['migrate'], env)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Applied: 0001_/) as unknown,
    });
    expect(await parley(['migrate'], env)).toMatchObject({ code: 0, stdout: 'The database is up to date.\n' });
    const { code, stdout } = await parley(['doctor'], env);
    expect(code).toBe(0);
    expect(stdout).toMatch(/ok {4}keys: configured/);
    expect(stdout).toMatch(/ok {4}database: PostgreSQL .* \(server\), schema up to date/);
    expect(stdout).toMatch(/^DATABASE_URL +\(set\)/m);
    expect(stdout).not.toContain(new URL(database.url).password);
    expect(stdout).not.toContain(testSecret);
  });

  it('fail with what is wrong', async () => {
    const { code, stdout } = await parley(['doctor'], { DATABASE_URL: 'postgres://u:hunter2@127.0.0.1:1/d' });
    expect(code).toBe(1);
    expect(stdout).toMatch(/FAIL {2}keys: DATABASE_URL is set, so Parley is not a demo/);
    expect(stdout).toMatch(/FAIL {2}database: Postgres at 127\.0\.0\.1:1 cannot be reached: ECONNREFUSED/);
    expect(stdout).not.toContain('hunter2');
  });
});

describe('parley serve does not start', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());

  const secret = { PARLEY_JWT_SECRET: testSecret, PARLEY_LOG_LEVEL: 'silent' };
  const missing = () => {
    const url = new URL(database.url);
    url.pathname = `/no_such_database_${randomUUID().slice(0, 8)}`;
    return url.href;
  };

  it.each([
    [
      'without a key where it is no demo',
      () => ({ DATABASE_URL: database.url }),
      /^DATABASE_URL is set, .*a key is needed/,
    ],
    [
      'with a public key that is none',
      () => ({ DATABASE_URL: database.url, PARLEY_JWT_PUBLIC_KEY: 'x'.repeat(40) }),
      /^PARLEY_JWT_PUBLIC_KEY is no PEM public key/,
    ],
    [
      'with a database that does not answer',
      () => ({ DATABASE_URL: 'postgres://127.0.0.1:1/d', ...secret }),
      /cannot be reached: ECONNREFUSED/,
    ],
    ['with a database that does not exist', () => ({ DATABASE_URL: missing(), ...secret }), /has no database "no_such/],
    [
      'on a port in use',
      () => ({ DATABASE_URL: database.url, ...secret, PARLEY_HOST: '127.0.0.1', PORT: new URL(database.url).port }),
      /^Port \d+ on 127\.0\.0\.1 is in use/,
    ],
    [
      'with a data folder below a file',
      () => ({ PARLEY_DATA_DIR: join(aFile(), 'data') }),
      /^The data folder .* cannot be written: ENOTDIR/,
    ],
    [
      'with a data folder that nobody may write',
      () => ({ PARLEY_DATA_DIR: '/sys/parley' }),
      /^The data folder \/sys\/parley cannot be written: E/,
    ],
  ])('%s, and says so in one line', async (_, env, message) => {
    const { code, stdout, stderr } = await parley(['serve'], {
      PORT: '0',
      PARLEY_LOG_LEVEL: 'error',
      ...(env() as Record<string, string>),
    });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr.trimEnd().split('\n')).toEqual([expect.stringMatching(message)]);
  });
});

function aFile(): string {
  const file = join(folder, 'a-file');
  writeFileSync(file, '');
  return file;
}
