/** `parley keys`, as an operator runs it. `npm run build` must have been run. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { StoredKeys } from '../../src/api/keys/stored-keys.ts';
import { readKeysCommand } from '../../src/cli/keys.ts';
import { keyListOutput, keyWithSecret } from '../../src/protocol/keys.ts';
import { settings, startNode } from '../api/keys/nodes.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeDataDir, runProgram, spawnServer } from '../support/spawn.ts';

const create = ['keys', 'create', '--name', 'N', '--scopes', 'publish'];
const id = 'aaaaaaaaaaaa';

it.each([
  [['keys'], 'keys needs create, list, rotate or revoke'],
  [['keys', 'delete'], 'keys needs create, list, rotate or revoke'],
  [['keys', 'create'], 'keys create needs --name N.'],
  [['keys', 'create', '--name', 'N'], 'keys create needs --scopes with one or more of publish, rooms'],
  [['keys', 'create', '--name', '', '--scopes', 'publish'], '--name: '],
  [['keys', 'create', '--name', 'x'.repeat(65), '--scopes', 'publish'], '--name: '],
  [['keys', 'create', '--name', 'N', '--scopes', 'publish,all'], '--scopes, entry 2: '],
  [['keys', 'create', '--name', 'N', '--scopes', ','], '--scopes: '],
  [[...create, '--rooms', 'team-*,a b'], '--rooms, entry 2: a pattern has the characters of a room id'],
  [[...create, '--rooms', 'x'.repeat(65)], '--rooms, entry 1: '],
  [[...create, '--rooms', Array<string>(33).fill('a').join(',')], '--rooms: '],
  [[...create, '--networks', '10.0.0.0/33'], '--networks, entry 1: expected an address or a range'],
  [[...create, '--networks', 'fe80::1%eth0'], '--networks, entry 1: expected an address or a range'],
  [[...create, '--per-hour', 'many'], '--per-hour: '],
  [[...create, '--per-hour', '0'], '--per-hour: '],
  [[...create, '--expires', 'soon'], '--expires soon: expected a time such as 90d'],
  [[...create, '--expires', '2026-13-40'], '--expires 2026-13-40: expected a time'],
  [[...create, 'more'], "Unexpected argument 'more'"],
  [[...create, '--secret', 'x'], "Unknown option '--secret'"],
  [['keys', 'list', 'x'], "Unexpected argument 'x'"],
  [['keys', 'rotate'], 'keys rotate needs the id of one API key'],
  [['keys', 'rotate', id, id], 'keys rotate needs the id of one API key'],
  [['keys', 'rotate', 'pk_x'], 'The id: the id of an API key is 12 of a-z 0-9.'],
  [['keys', 'rotate', id, '--overlap', '1y'], '--overlap 1y: expected a time such as 90s'],
  [['keys', 'rotate', id, '--overlap', '31d'], '--overlap: '],
  [['keys', 'revoke', 'x'], 'The id: the id of an API key is 12 of a-z 0-9.'],
] as [string[], string][])('%j is refused in plain words', ([, ...args], message) => {
  expect(() => readKeysCommand(args, Date.now())).toThrow(message);
});

describe('beside servers', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterEach(() => database.sql`delete from api_keys`);
  afterAll(() => database.drop());

  const run = async (...args: string[]): Promise<string[]> => {
    const printed: string[] = [];
    await readKeysCommand(args, Date.now())(new StoredKeys(database.sql, settings), (line) => void printed.push(line));
    return printed;
  };
  const keys = (...args: string[]) => runProgram(['keys', ...args], { DATABASE_URL: database.url });

  it('creates, rotates and revokes a key that a node accepts', { timeout: 120_000 }, async () => {
    const node = await startNode(database.url);
    const made = await keys('create', '--name', 'Billing', '--scopes', 'publish,rooms', '--rooms', 'team-*', '--json');
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const { key, text } = keyWithSecret.parse(JSON.parse(made.stdout));
    expect(key).toMatchObject({ name: 'Billing', scopes: ['publish', 'rooms'], rooms: ['team-*'], perHour: 10_000 });
    expect((await node.keys.verify(text, '')).id).toBe(key.id);

    const rotated = await keys('rotate', key.id, '--overlap', '0');
    expect(rotated).toMatchObject({ code: 0, stderr: '' });
    const [second = ''] = rotated.stdout.split('\n');
    expect(rotated.stdout).toContain('The former secret ends now');
    expect((await node.keys.verify(second, '')).id).toBe(key.id);

    const listed = await keys('list');
    expect(listed).toMatchObject({ code: 0, stderr: '' });
    expect(listed.stdout).toContain(key.id);
    expect(listed.stdout).not.toContain(second.slice(-64));

    expect(await keys('revoke', key.id)).toMatchObject({
      code: 0,
      stdout: `Revoked API key ${key.id} (Billing). Every node refuses it within a second.\n`,
    });
    expect(await keys('revoke', key.id)).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `There is no API key ${key.id}.\n`,
    });
    expect(await keys('list', '--json')).toMatchObject({ code: 0, stdout: '{"keys":[]}\n' });
    await node.stop();
  });

  it('prints a table, in which a name cannot move the cursor', async () => {
    expect(await run('list')).toEqual(['There are no API keys.']);
    await run('create', '--name', 'Naïve 名', '--scopes', 'admin', '--networks', '10.0.0.0/8,2001:db8::/32');
    await run('create', '--name', 'B', '--scopes', 'publish', '--per-hour', '5', '--expires', '2030-01-31');
    await database.sql`update api_keys set name = 'a' || chr(27) || '[2Jb' || chr(10) where name = 'B'`;
    const printed = await run('list');
    expect(printed.map((line) => line.replace(/^[a-z0-9]{12} /, 'ID '))).toEqual([
      expect.stringMatching(/^ID +NAME +SCOPES +ROOMS +NETWORKS +PER HOUR +EXPIRES +LAST USED$/),
      expect.stringMatching(/^ID +Naïve 名 +admin +\* +10\.0\.0\.0\/8,2001:db8::\/32 +10000 +never +never$/),
      expect.stringMatching(/^ID +a\\u001b\[2Jb\\u000a +publish +\* +any +5 +2030-01-31T00:00:00Z +never$/),
    ]);
    const { keys: list } = keyListOutput.parse(JSON.parse((await run('list', '--json')).join('\n')));
    expect(list).toHaveLength(2);
  });

  it('says how long the former secret stays valid', async () => {
    const [, , , line = ''] = await run('create', '--name', 'N', '--scopes', 'publish');
    const [made = ''] = line.split(' ');
    expect((await run('rotate', made, '--overlap', '1h')).at(-1)).toMatch(
      /^The former secret stays valid until \S+Z\.$/,
    );
    expect((await run('rotate', made)).at(-1)).toMatch(/^The former secret stays valid until \S+Z\.$/);
    const { previousUntil } = keyListOutput.parse(JSON.parse((await run('list', '--json')).join(''))).keys[0] ?? {};
    expect(previousUntil).toBeGreaterThan(Date.now() + 23 * 3_600_000);
  });

  it('refuses the 101st key in a sentence', async () => {
    await database.sql`
      insert into api_keys (id, name, secret_hash, scopes, rooms, networks)
      select lpad(n::text, 12, 'k'), 'N', sha256(n::text::bytea), '{publish}', '{*}', '{}' from generate_series(1, 99) n`;
    expect(await keys('create', '--name', 'Hundredth', '--scopes', 'publish')).toMatchObject({ code: 0 });
    expect(await keys('create', '--name', 'N', '--scopes', 'publish')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'There are 100 API keys already; revoke one of them first.\n',
    });
  });
});

it('uses the embedded database, beside its server and without it', { timeout: 120_000 }, async () => {
  const data = makeDataDir();
  const env = { PARLEY_DATA_DIR: data.path };
  const server = await spawnServer({ ...env, PARLEY_DRAIN_MS: '0' });
  const beside = await runProgram(['keys', 'list'], env);
  expect(beside).toMatchObject({ code: 0, stdout: 'There are no API keys.\n', stderr: '' });
  server.kill('SIGTERM');
  expect(await server.exit()).toEqual({ code: 0, signal: null });
  const made = await runProgram(['keys', 'create', '--name', 'N', '--scopes', 'publish'], env);
  expect(made).toMatchObject({ code: 0, stderr: '' });
  expect(made.stdout).toMatch(/^pk_[a-z0-9]{12}_[0-9a-f]{64}\n/);
  expect((await runProgram(['keys', 'list'], env)).stdout).toMatch(/^ID +NAME[^\n]*\n[a-z0-9]{12} +N +publish/);
  data.remove();
});
