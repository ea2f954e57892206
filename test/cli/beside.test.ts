/** Commands of the command line beside a running server without Redis. `npm run build` must have been run. */
import { chmodSync, existsSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandSocket, maxRequestBytes } from '../../src/cli/beside/protocol.ts';
import { CommandServer } from '../../src/cli/beside/server.ts';
import { cliCommands } from '../../src/cli/commands.ts';
import type { CommandContext, Terminal } from '../../src/cli/context.ts';
import { ownContext } from '../../src/cli/own-process.ts';
import { loadConfig } from '../../src/config/config.ts';
import { createTestDatabase } from '../support/database.ts';
import { silentLog } from '../support/messaging.ts';
import { testSecret, tokenOf } from '../support/server.ts';
import { makeDataDir, runProgram, spawnServer, type DataDir, type SpawnedServer } from '../support/spawn.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

let dataDir: DataDir;
let server: SpawnedServer;
const run = (...args: string[]) => runProgram(args, { PARLEY_DATA_DIR: dataDir.path });
const start = (): Promise<SpawnedServer> => spawnServer({ PARLEY_DATA_DIR: dataDir.path, PARLEY_NODE: 'only' });
const sessionOf = (client: StockClient): string => client.received('ready')[0]?.session ?? '';

async function stop(one: SpawnedServer): Promise<void> {
  one.kill('SIGTERM');
  expect(await one.exit()).toEqual({ code: 0, signal: null });
}

describe('beside a server with the embedded database', () => {
  let ann: StockClient;
  beforeAll(async () => {
    dataDir = makeDataDir();
    server = await start();
    ann = await connectStock(server.url, await dataDir.tokenOf('ann'));
    await ann.ok('room:create', { kind: 'channel', name: 'Hall', id: 'hall' });
    await ann.ok('message:send', text('hall', 'one'));
  });
  afterAll(async () => {
    ann.close();
    await stop(server);
    expect(existsSync(join(dataDir.path, 'parley.sock'))).toBe(false);
    dataDir.remove();
  });

  it('inspect prints the room and the connection as over Redis', async () => {
    const { code, stdout } = await run('inspect', 'room', 'hall');
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^Postgres {2}channel {2}rev \d+ {2}seq 1 {2}first seq 1 {2}members 1\nonly {2}rev \d+ {2}gap none {2}held 0 {2}subscribers 1 {2}users 1 {2}off 0\n$/,
    );
    expect((await run('inspect', 'room', 'hall', '--node', 'other')).stdout).toContain('There is no live node other.');
    expect((await run('inspect', 'connection', sessionOf(ann))).stdout).toMatch(/^only {2}ann {2}.* rooms 1 /);
    expect(await run('inspect', 'room', 'absent')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'The database has no room absent.\n',
    });
  });

  it('sessions are listed, and a revoked one is closed', async () => {
    const ben = await connectStock(server.url, await dataDir.tokenOf('ben'));
    expect((await run('sessions', 'list', '--user', 'ben')).stdout).toContain(sessionOf(ben));
    expect(await run('sessions', 'revoke', '--user', 'ben', '--all')).toMatchObject({
      code: 0,
      stdout: 'Revoked all tokens of ben.\n',
      stderr: '',
    });
    await until('the connection is closed', () => !ben.socket.connected);
  });

  it('export and import stream through the server, from the place of the operator', async () => {
    const exported = await run('export', '--all');
    expect(exported).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^Exported 1 rooms, 1 messages\./) as unknown,
    });
    const file = join(dataDir.path, '..', 'rooms.ndjson');
    writeFileSync(
      file,
      exported.stdout
        .replaceAll('"hall"', '"copy"')
        .replaceAll(/"id":"[0-9a-f-]{36}"/g, () => `"id":"${crypto.randomUUID()}"`),
    );
    const args = ['import', 'rooms.ndjson'];
    const imported = await runProgram(args, { PARLEY_DATA_DIR: dataDir.path }, join(dataDir.path, '..'));
    expect(imported).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^Imported 1 rooms; 1 messages/) as unknown,
    });
    expect((await run('inspect', 'room', 'copy')).stdout).toContain('seq 1');
    writeFileSync(file, 'no JSON\n');
    expect((await run('import', file)).stderr).toMatch(/^Line 1: /);
    expect((await run('import', `${file}.absent`)).stderr).toContain('cannot be read');
  });

  it('the other commands do their work too', { timeout: 120_000 }, async () => {
    expect((await run('users', 'forget', 'nobody')).stdout).toMatch(/^There was no user nobody/);
    expect((await run('migrate')).stdout).toBe('The database is up to date.\n');
    expect((await run('doctor')).stdout).toMatch(/^ok {4}database: PostgreSQL .* \(embedded\), schema up to date/m);
    const key = (await run('keys', 'create', '--name', 'shop', '--scopes', 'rooms', '--json')).stdout;
    const made = JSON.parse(key) as { text: string };
    const headers = { authorization: `Bearer ${made.text}`, 'parley-user': 'ann' };
    expect((await fetch(`${server.url}/api/v1/rooms`, { headers })).status).toBe(200);
    expect((await run('cache', 'stats')).stdout).toContain('user');
    expect((await run('cache', 'clear', '--tag', 'user:ann')).stdout).toContain('user:ann');
    expect((await run('restored')).stdout).toMatch(/^Began epoch /);
    expect((await run('vapid')).stdout).toMatch(/^PARLEY_VAPID_PRIVATE_KEY=[\w-]{43}\n# public key: [\w-]{87}\n$/);
    expect((await run('dead-letters', 'list')).stdout).toBe('There are no dead letters.\n');
    const tested = [
      'dead-letters',
      'vapid',
      'inspect',
      'sessions',
      'export',
      'import',
      'users',
      'migrate',
      'doctor',
      'restored',
      'keys',
      'cache',
      'jobs',
      'notifications',
    ];
    expect([...cliCommands.keys()].toSorted()).toEqual(tested.toSorted());
  });

  it('jobs are listed and cancelled', { timeout: 120_000 }, async () => {
    const job = await fetch(`${server.url}/api/v1/users/nobody`, { method: 'DELETE', headers: await usersKey() });
    const { id } = (await job.json()) as { id: string };
    expect((await run('jobs', 'list')).stdout).toMatch(
      new RegExp(`^${id} .* user:delete {2}(queued|running|done) {2}k:`),
    );
    expect((await run('jobs', 'list', '--state', 'failed')).stdout).toBe('There are no jobs.\n');
    expect((await run('jobs', 'cancel', id)).stdout).toMatch(/^(Cancelled job|Job) /);
    expect((await run('jobs', 'cancel', crypto.randomUUID())).stderr).toMatch(/^There is no job /);
  });

  it('the socket is for the owner alone', () => {
    const { mode } = statSync(join(dataDir.path, 'parley.sock'));
    expect(mode & 0o777).toBe(0o600);
  });

  it.each([
    ['no JSON', 'The request is not a line of JSON.'],
    ['{"command":"inspect"}', 'The request needs a command and its arguments.'],
    ['{"command":"nonsense","arguments":[]}', 'The running server has no command "nonsense".'],
    ['{"command":"serve","arguments":[]}', 'The running server has no command "serve".'],
    ['{"command":"__proto__","arguments":[]}', 'The running server has no command "__proto__".'],
    ['x'.repeat(maxRequestBytes + 1), `The request is longer than ${maxRequestBytes} bytes.`],
  ])('bad input gets an answer, and the server goes on: %.40s', async (line, message) => {
    const answers = await send(`${line}\n`);
    expect(answers).toEqual([{ err: message }, { exit: 1 }]);
    expect((await run('inspect', 'room', 'hall')).code).toBe(0);
  });

  it('a client without a request is ended, and takes no place of others', { timeout: 30_000 }, async () => {
    const answers = await send('{"command":');
    expect(answers).toEqual([{ err: 'No request came within 5000 ms.' }, { exit: 1 }]);
  });

  it('a client that ends at once, or in the middle, harms nobody', async () => {
    for (const part of ['', '{"comm', '{"command":"export","arguments":["--all"]}\n']) {
      const socket = connect(join(dataDir.path, 'parley.sock'));
      await once(socket, 'connect');
      socket.write(part, () => socket.destroy());
      await once(socket, 'close');
    }
    expect((await run('inspect', 'room', 'hall')).code).toBe(0);
  });

  it('commands find the new server after a kill, and the database without a server', { timeout: 120_000 }, async () => {
    server.kill('SIGKILL');
    await server.exit();
    expect(existsSync(join(dataDir.path, 'parley.sock'))).toBe(true);
    const alone = await run('inspect', 'room', 'hall');
    expect(alone).toMatchObject({ code: 0 });
    expect(alone.stdout).toMatch(/^Postgres {2}channel .*\nNo live answers: no server answers on the data folder/);
    server = await start();
    expect((await run('inspect', 'room', 'hall')).stdout).toMatch(/\nonly {2}no subscribers\n$/);
    expect(server.stderr()).toBe('');
  });
});

async function usersKey(): Promise<Record<string, string>> {
  const { stdout } = await run('keys', 'create', '--name', 'users', '--scopes', 'users', '--json');
  return { authorization: `Bearer ${(JSON.parse(stdout) as { text: string }).text}` };
}

/** Each answer of the server until the end of the connection. */
async function send(bytes: string): Promise<unknown[]> {
  const socket = connect({ path: join(dataDir.path, 'parley.sock'), allowHalfOpen: true });
  socket.on('error', () => {}); // the server closes while the client still writes
  let received = '';
  socket.setEncoding('utf8').on('data', (piece: string) => (received += piece));
  socket.write(bytes);
  await new Promise((resolve) => socket.once('close', resolve).once('end', () => socket.destroy()));
  return received
    .trimEnd()
    .split('\n')
    .map((line): unknown => JSON.parse(line));
}

it('a command waits for a server that is about to start', { timeout: 120_000 }, async () => {
  dataDir = makeDataDir();
  const starting = start();
  await until('the server has the folder', () => existsSync(join(dataDir.path, 'lock')));
  const revoked = await run('sessions', 'revoke', '--user', 'cleo', '--all');
  expect(revoked).toMatchObject({ code: 0, stdout: 'Revoked all tokens of cleo.\n' });
  await stop(await starting);
  dataDir.remove();
});

describe('with low limits', () => {
  it('a client that does not read is cut off, and one client too many is refused', { timeout: 120_000 }, async () => {
    dataDir = makeDataDir();
    const database = await createTestDatabase();
    await database.sql`insert into users (id) select 'u' || n from generate_series(1, 200) n`;
    await database.sql`
      insert into blocks (user_id, blocked_id) select 'u' || a, 'u' || b from generate_series(1, 200) a, generate_series(1, 200) b
      where a <> b`;
    const config = loadConfig({ DATABASE_URL: database.url, PARLEY_JWT_SECRET: testSecret });
    const context = (terminal: Terminal): CommandContext => ownContext(config, terminal);
    const path = join(dataDir.path, 'parley.sock');
    // the socket of a dead process, as a kill leaves it
    writeFileSync(path, '');
    const limits = { maxConnections: 1, writeMs: 200, requestMs: 60_000 };
    const commands = await CommandServer.open({ path, context, log: silentLog, ...limits });
    const slow = connect(path);
    await once(slow, 'connect');
    slow.pause().write('{"command":"export","arguments":["--all"]}\n');
    await until('a second client is refused', async () => {
      const answers = await send('{"command":"export","arguments":["--all"]}\n');
      const [first] = answers as { err?: string }[];
      return first?.err === 'The server runs too many commands at once; try again later.';
    });
    await until('the place is free', isFree);
    slow.destroy();
    await commands.close();
    expect(existsSync(path)).toBe(false);
    await database.drop();
    dataDir.remove();
  });
});

/** Whether the server takes a request. */
async function isFree(): Promise<boolean> {
  const [first] = (await send('no JSON\n')) as { err?: string }[];
  return first?.err === 'The request is not a line of JSON.';
}

it('a folder that others may write has no socket, and the log says why', { timeout: 120_000 }, async () => {
  dataDir = makeDataDir();
  chmodSync(dataDir.path, 0o777);
  server = await start();
  expect(server.stdout()).toContain('other users may write in the folder');
  expect(existsSync(join(dataDir.path, 'parley.sock'))).toBe(false);
  await stop(server);
  dataDir.remove();
});

it('inspect beside a server on Postgres without Redis prints the node too', { timeout: 120_000 }, async () => {
  dataDir = makeDataDir();
  const database = await createTestDatabase();
  const env = { DATABASE_URL: database.url, PARLEY_JWT_SECRET: testSecret, PARLEY_DATA_DIR: dataDir.path };
  server = await spawnServer({ ...env, PARLEY_NODE: 'only', PARLEY_DRAIN_MS: '0' });
  const ann = await connectStock(server.url, await tokenOf('ann'));
  await ann.ok('room:create', { kind: 'channel', name: 'Hall', id: 'hall' });
  expect((await runProgram(['inspect', 'room', 'hall'], env)).stdout).toMatch(/^Postgres .*\nonly {2}rev /);
  expect((await runProgram(['inspect', 'connection', sessionOf(ann)], env)).stdout).toMatch(/^only {2}ann /);
  expect((await runProgram(['sessions', 'list', '--user', 'ann'], env)).stdout).toContain(sessionOf(ann));
  const { mode } = statSync(commandSocket(dataDir.path, database.url));
  expect(mode & 0o777).toBe(0o600);
  // the embedded database of this folder has no server
  expect((await run('inspect', 'room', 'hall')).stderr).toMatch(/has no room hall|run parley migrate first/);
  ann.close();
  await stop(server);
  expect(existsSync(commandSocket(dataDir.path, database.url))).toBe(false);
  await database.drop();
  dataDir.remove();
});
