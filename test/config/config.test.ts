import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig, requireKeys } from '../../src/config/config.ts';
import { describeConfig } from '../../src/config/describe.ts';
import { configKeys } from '../../src/config/keys/all.ts';
import { StartupError } from '../../src/startup-error.ts';

const secret = 'a secret of the tests, long enough for HS256';

describe('the configuration', () => {
  it('has defaults for an empty environment, which mean the embedded demo', () => {
    const config = loadConfig({});
    expect(config).toMatchObject({
      port: 3000,
      dataDir: './data',
      embedded: true,
      pingIntervalMs: 25_000,
      pingTimeoutMs: 20_000,
      maxFrameBytes: 65_536,
      logLevel: 'info',
    });
    expect(config.databaseUrl).toBeUndefined();
    expect(Object.isFrozen(config)).toBe(true);
    expect(() => requireKeys(config)).not.toThrow();
  });

  it('takes an empty value for an unset one, and leaves what is not its own alone', () => {
    expect(loadConfig({ PORT: '', DATABASE_URL: '', PATH: '/bin', PARLEYISH: 'x' })).toMatchObject({ port: 3000 });
  });

  it.each([
    [{ PARLEY_MAX_FRAME_BYTES: '128k' }, { maxFrameBytes: 131_072 }],
    [{ PARLEY_MAX_FRAME_BYTES: '1MB' }, { maxFrameBytes: 1_048_576 }],
    [{ PARLEY_MAX_FRAME_BYTES: '50000' }, { maxFrameBytes: 50_000 }],
    [{ PARLEY_JWT_ISSUER: ' https://id.example\n' }, { jwtIssuer: 'https://id.example' }],
    [{ PARLEY_HOST: '[::1]' }, { host: '::1' }],
    [
      { PARLEY_TRUSTED_PROXIES: ' [::1], 10.0.0.0/8,, [fd00::]/8 ' },
      { trustedProxies: ['::1', '10.0.0.0/8', 'fd00::/8'] },
    ],
    [{ PARLEY_ORIGINS: 'HTTPS://A.example:443/, http://[::1]:80' }, { origins: ['https://a.example', 'http://[::1]'] }],
    [
      { PARLEY_ORIGINS: 'https://a.example, https://b.example' },
      { origins: ['https://a.example', 'https://b.example'] },
    ],
    [
      { PARLEY_ATTACHMENT_HOSTS: 'files.example, *.cdn.example:8443,[::1]:80,localhost' },
      { attachmentHosts: ['files.example', '*.cdn.example:8443', '[::1]:80', 'localhost'] },
    ],
    [
      { PARLEY_ATTACHMENT_HOSTS: '*', PARLEY_ATTACHMENT_TYPES: 'audio/*' },
      { attachmentHosts: ['*'], attachmentTypes: ['audio/*'] },
    ],
    [
      { PARLEY_WALLET_DOMAINS: 'Chat.Example,localhost:8080', PARLEY_WALLET_CHAINS: '1,137' },
      { walletDomains: ['chat.example', 'localhost:8080'], walletChains: [1, 137] },
    ],
    [{ PARLEY_LOG_PRETTY: 'no' }, { logPretty: false }],
    [{ PARLEY_LOG_PRETTY: 'On' }, { logPretty: true }],
    [{ DATABASE_URL: 'postgresql://u:p@h/d' }, { embedded: false }],
  ])('reads %j', (env, expected) => {
    expect(loadConfig(env)).toMatchObject(expected);
  });

  it.each([
    [{ PARLEY_JWT_SECRET: `"${secret}"` }, 'PARLEY_JWT_SECRET=(hidden): expected a value without quotes'],
    [{ PARLEY_JWT_SECRET: `${secret}\n${secret}` }, 'PARLEY_JWT_SECRET=(hidden): expected one line'],
    [{ PARLEY_JWT_AUDIENCE: "'chat'" }, 'PARLEY_JWT_AUDIENCE'],
    [{ PARLEY_JWT_ISSUER: '  ' }, 'PARLEY_JWT_ISSUER=: expected a value'],
    [{ PARLEY_COMMAND_BURST: '1' }, 'PARLEY_COMMAND_BURST=1: expected at least 10'],
    [{ PARLEY_MAX_FRAME_BYTES: '8k' }, 'PARLEY_MAX_FRAME_BYTES=8192: expected at least'],
    [{ PARLEY_ADMIN_PORT: '3000' }, 'PARLEY_ADMIN_PORT=3000: expected another port than PORT'],
    [{ PARLEY_WRITER_QUEUE: '10' }, 'PARLEY_WRITER_QUEUE=10: expected at least 500, which is PARLEY_WRITER_BATCH'],
    [{ PARLEY_DATA_DIR: 'package.json' }, 'PARLEY_DATA_DIR=package.json: expected a folder'],
    [{ PARLEY_WALLET_DOMAINS: 'https://chat.example' }, 'PARLEY_WALLET_DOMAINS=https://chat.example: expected a list'],
    [
      {
        PARLEY_WALLET_DOMAINS: 'chat.example',
        DATABASE_URL: 'postgres://h/d',
        PARLEY_JWKS_URL: 'https://a.example/keys',
      },
      'PARLEY_WALLET_DOMAINS: expected PARLEY_JWT_SECRET too',
    ],
    [{ PARLEY_PORT: '3000' }, 'PARLEY_PORT: unknown; did you mean PORT?'],
    [{ PARLEY_JWKS_URL: 'ftp://me:hunter2@id/keys' }, 'PARLEY_JWKS_URL=ftp://(hidden)@id/keys: expected'],
    [{ PARLEY_ORIGINS: 'chat.example' }, 'PARLEY_ORIGINS=chat.example: expected a list by comma, each an origin'],
    [{ PARLEY_VAPID_PRIVATE_KEY: 'hunter2' }, 'PARLEY_VAPID_PRIVATE_KEY=(hidden): expected a private key of P-256'],
    [{ PARLEY_HOST: 'http://x' }, 'PARLEY_HOST=http://x: expected an address'],
  ])('refuses %j by name, in one line', (env, line) => {
    const wrong = (): unknown => loadConfig(env);
    expect(wrong).toThrow(StartupError);
    expect(wrong).toThrow(line);
    expect(wrong).not.toThrow(/hunter2/);
  });

  it.each([
    ['redis://h?connectTimeout=0', 'expected no parameter connectTimeout'],
    ['redis://h:1/0?enableOfflineQueue=false', 'expected no parameter enableOfflineQueue'],
    ['rediss://u:hunter2@h?tls=true', 'expected no parameter tls'],
    ['redis://h?family=5', 'expected family=4 or family=6'],
    ['redis://h/cache', 'expected the number of the database'],
    ['redis://h/0#1', 'expected the number of the database'],
  ])('refuses %s, of which the driver would make something else', (url, expected) => {
    const load = (): unknown => loadConfig({ DATABASE_URL: 'postgres://h/d', REDIS_URL: url });
    expect(load).toThrow(expected);
    expect(load).not.toThrow('hunter2');
  });

  it.each(['redis://h', 'redis://h/', 'redis://:p@h:6379/3', 'rediss://u:p@h/0?family=6', 'redis://[::1]:6379'])(
    'takes %s',
    (url) => {
      expect(loadConfig({ REDIS_URL: url }).redisUrl).toBe(url);
    },
  );

  it('takes a secret from the file that its key with _FILE names', () => {
    const folder = mkdtempSync(join(tmpdir(), 'parley-secrets-'));
    const path = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const good = path('good', `${secret}\n`);
    expect(loadConfig({ PARLEY_JWT_SECRET_FILE: good, PARLEY_JWT_SECRET: '' }).jwtSecret).toBe(secret);
    const url = 'postgres://u:p@h/d';
    expect(loadConfig({ DATABASE_URL_FILE: path('url', url) })).toMatchObject({ databaseUrl: url, embedded: false });
    expect(loadConfig({ DATABASE_URL_FILE: '' }).databaseUrl).toBeUndefined();
    for (const [bad, expected] of [
      [
        { PARLEY_JWT_SECRET: secret, PARLEY_JWT_SECRET_FILE: good },
        'expected one of PARLEY_JWT_SECRET and PARLEY_JWT_S',
      ],
      [
        { PARLEY_JWT_SECRET_FILE: '/nowhere' },
        'PARLEY_JWT_SECRET_FILE=/nowhere: expected a file that can be read: ENOENT',
      ],
      [{ REDIS_URL_FILE: path('empty', '\n') }, 'expected a value, but the file is empty'],
      [
        { REDIS_URL_FILE: path('wrong', 'http://u:hunter2@h') },
        'REDIS_URL=(hidden): expected a URL that begins with redis://',
      ],
      [{ PARLEY_NODE_FILE: good }, 'PARLEY_NODE_FILE: unknown'],
    ] as const) {
      expect(() => loadConfig(bad)).toThrow(expected);
      expect(() => loadConfig(bad)).not.toThrow(/hunter2|long enough/);
    }
    rmSync(folder, { recursive: true });
  });

  it('names every bad and every unknown key in one error, with what was expected and without secrets', () => {
    const bad = {
      PORT: '70000',
      DATABASE_URL: 'mysql://user:hunter2@host/db',
      PARLEY_JWT_SECRET: 'hunter2',
      PARLEY_JWKS_URL: 'not a url',
      PARLEY_PING_INTERVAL_MS: '25s',
      PARLEY_MAX_FRAME_BYTES: '1t',
      PARLEY_ATTACHMENT_HOSTS: 'good.example,https://bad.example',
      PARLEY_ATTACHMENT_TYPES: 'png',
      PARLEY_LOG_LEVEL: 'loud',
      PARLEY_LOG_PRETTY: 'maybe',
      PARLEY_WRITER_BATCH: '-1',
      PARLEY_MAX_CONECTIONS: '5',
      PARLEY_SOMETHING_ELSE: '1',
    };
    let thrown: unknown;
    try {
      loadConfig(bad);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(StartupError);
    const { message } = thrown as Error;
    expect(message.split('\n')).toHaveLength(Object.keys(bad).length + 1);
    expect(message).not.toContain('hunter2');
    for (const line of [
      'PORT=70000: expected a whole number from 0 to 65535',
      'DATABASE_URL=(hidden): expected a URL that begins with postgres:// or postgresql://',
      'PARLEY_JWT_SECRET=(hidden): expected text of 32 to 4096 bytes',
      'PARLEY_JWKS_URL=not a url: expected a URL that begins with https:// or http://',
      'PARLEY_PING_INTERVAL_MS=25s: expected a whole number from 1000 to 300000',
      'PARLEY_MAX_FRAME_BYTES=1t: expected bytes from 4096 to 16777216, such as 65536, 64k or 1m',
      'PARLEY_ATTACHMENT_HOSTS=good.example,https://bad.example: expected a list by comma, each a host such as files.example.com, *.example.com or localhost:8080, or *',
      'PARLEY_ATTACHMENT_TYPES=png: expected a list by comma, each a media type such as image/png or audio/*',
      'PARLEY_LOG_LEVEL=loud: expected fatal, error, warn, info, debug, silent',
      'PARLEY_LOG_PRETTY=maybe: expected true or false',
      'PARLEY_WRITER_BATCH=-1: expected a whole number from 1 to 5000',
      'PARLEY_MAX_CONECTIONS: unknown; did you mean PARLEY_MAX_CONNECTIONS?',
      'PARLEY_SOMETHING_ELSE: unknown',
    ]) {
      expect(message.split('\n')).toContain(`  ${line}`);
    }
  });

  it.each(Object.values(configKeys).filter((entry) => 'default' in entry))('$env is valid by default', (entry) => {
    expect(entry.parse((entry as { default: string }).default)).toMatchObject({ ok: true });
  });

  it.each([
    { PARLEY_JWT_SECRET: secret },
    { PARLEY_JWKS_URL: 'https://id.example/jwks' },
    { PARLEY_JWT_PUBLIC_KEY: secret },
  ])('of a server needs one key of any kind: %j', (env) => {
    const server = { DATABASE_URL: 'postgres://h/d' };
    expect(() => requireKeys(loadConfig(server))).toThrow(/a key is needed to check tokens/);
    expect(() => requireKeys(loadConfig({ ...server, ...env }))).not.toThrow();
  });

  it('is described without its secrets', () => {
    const described = describeConfig(
      loadConfig({
        DATABASE_URL: 'postgres://u:hunter2@h/d',
        PARLEY_JWT_SECRET: secret,
        PARLEY_ORIGINS: 'https://a,https://b',
        PARLEY_JWKS_URL: 'https://me:hunter2@id/keys',
      }),
    );
    const shown = Object.fromEntries(described.map(({ env, value }) => [env, value]));
    expect(shown).toMatchObject({
      DATABASE_URL: '(set)',
      PARLEY_JWT_SECRET: '(set)',
      PARLEY_JWT_PREVIOUS_SECRET: '(unset)',
      PARLEY_ORIGINS: 'https://a,https://b',
      PARLEY_JWKS_URL: 'https://(hidden)@id/keys',
      PORT: '3000',
    });
    expect(described).toHaveLength(Object.keys(configKeys).length);
    expect(JSON.stringify(described)).not.toContain('hunter2');
  });
});
