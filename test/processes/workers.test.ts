/** Several processes on one port: their clients, their restarts, and their common `/metrics`. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { total } from '../support/metrics.ts';
import { freePort } from '../support/processes.ts';
import { runProgram, startProgram, type Env } from '../support/spawn.ts';
import { connectError, connectStock, text, type StockClient } from '../support/stock-client.ts';
import { tokenOf } from '../support/test-token.ts';
import { until } from '../support/until.ts';
import { alive, endGroup, groupEnv, startGroup, type WorkerGroup } from './group.ts';

const endedByItself = 'A worker ended by itself; its clients reconnect to other workers. The parent starts it again.';
const givenUp =
  'Rolling restart: given up, because a new worker could not start. The remaining workers stay as they are.';

let database: TestDatabase;
let env: Env;
let group: WorkerGroup | undefined;
const clients: StockClient[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  env = groupEnv(database, 'workers:');
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await endGroup(group);
  group = undefined;
});
afterAll(() => database.drop());

async function start(more: Env = {}): Promise<WorkerGroup> {
  group = await startGroup({ ...env, ...more });
  return group;
}

async function connectMany(url: string, count: number): Promise<StockClient[]> {
  for (let n = 0; n < count; n++)
    clients.push(await connectStock(url, await tokenOf(`user-${n}`), { reconnection: true }));
  return clients;
}

/** The nodes of their latest `ready`. */
const nodesOf = (some: readonly StockClient[]) => new Set(some.map((client) => client.received('ready').at(-1)?.node));

describe('a server of several workers', () => {
  it('answers with all of them on one port, adds up their metrics, and ends with 0', async () => {
    const server = await start({ PARLEY_WORKERS: '3' });
    expect(server.stdout()).toContain('with 3 workers');
    const connected = await connectMany(server.url, 60);
    // of 60 connections none to one of three: once in 10^10
    expect(nodesOf(connected)).toEqual(new Set(['node-1', 'node-2', 'node-3']));
    // whichever worker answers, it answers for all
    for (let scrape = 0; scrape < 5; scrape++) {
      // on a busy machine a worker may be silent for a moment, or admit a part of the commands
      const metrics = await until('all workers answer and are idle', async () => {
        const values = await server.metrics();
        const isCalm = values.get('parley_workers_silent') === 0;
        return isCalm && values.get('parley_admitted_share{limit="none"}') === 1 && values;
      });
      expect(metrics.get('parley_connections')).toBe(60);
      expect(metrics.get('parley_connections_opened_total')).toBe(60);
      expect(metrics.get('parley_workers{state="ready"}')).toBe(3);
    }
    const [first, second] = connected as [StockClient, StockClient];
    await first.ok('room:create', { kind: 'channel', id: 'all', name: 'All' });
    await second.ok('room:join', { room: 'all' });
    await first.ok('message:send', text('all', 'one'));
    // a worker answers a sync with what has reached it, and sends the rest as events
    await until('the event comes', () => second.received('message').length === 1);
    expect((await second.ok('sync', { cursors: { all: 0 }, limit: 10 })).rooms['all']?.messages).toMatchObject([
      { body: 'one', seq: 1 },
    ]);
    const pids = server.workers();
    server.kill('SIGTERM');
    expect(await server.exit()).toEqual({ code: 0, signal: null });
    expect(pids).toHaveLength(3);
    expect(pids.filter(alive)).toEqual([]);
    expect(server.stderr()).toBe('');
  }, 120_000);

  it('has the port to itself: neither a lone server nor another group may share it', async () => {
    const server = await start();
    const { port } = new URL(server.url);
    const inUse = `Port ${port} on 127.0.0.1 is in use; set PORT to another port.\n`;
    const { PARLEY_WORKERS: _, ...alone } = env;
    expect(await runProgram(['serve'], { ...alone, PORT: port })).toMatchObject({ code: 1, stderr: inUse });
    expect(await runProgram(['serve', '--workers', '2'], { ...env, PORT: port })).toMatchObject({
      code: 1,
      stderr: inUse,
    });
  }, 120_000);

  it('refuses sessions that begin with long-polling, which the kernel would spread', async () => {
    const server = await start();
    const answer = await fetch(`${server.url}/socket.io/?EIO=4&transport=polling`);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toEqual({ code: 0, message: 'Transport unknown' });
    await until('it is logged', () => server.stdout().includes('Refused a long-polling handshake'));
  }, 120_000);

  it('starts a killed worker again; its clients come back', async () => {
    const server = await start();
    const connected = await connectMany(server.url, 20);
    const [victim = 0, other] = server.workers();
    process.kill(victim, 'SIGKILL');
    await until('another took its place', () => server.workers()[0] !== victim);
    expect(server.workers()[1]).toBe(other);
    await until('all are connected', () => connected.every(({ socket }) => socket.connected));
    const metrics = await until('all are counted', async () => {
      const values = await server.metrics();
      return values.get('parley_connections') === 20 && values;
    });
    expect(metrics.get('parley_worker_restarts_total')).toBe(1);
    expect(server.log(endedByItself)).toMatchObject([{ worker: 1, pid: victim, signal: 'SIGKILL', code: null }]);
  }, 120_000);

  it('leaves a worker that hangs out of its metrics, and says so', async () => {
    const server = await start();
    const connected = await connectMany(server.url, 20);
    const lost = connected.filter((client) => client.received('ready')[0]?.node === 'node-1').length;
    const [hung = 0] = server.workers();
    expect((await server.metrics()).get('parley_connections')).toBe(20);
    process.kill(hung, 'SIGSTOP');
    try {
      const values = await until(
        'the other one is queried',
        async () => {
          // a new connection each time; half of them wait for the one that hangs
          const answer = await fetch(`${server.url}/metrics`, {
            headers: { connection: 'close' },
            signal: AbortSignal.timeout(3000),
          }).catch(() => undefined);
          return answer?.text();
        },
        60_000,
      );
      expect(values).toContain(`\nparley_connections ${20 - lost}\n`);
      expect(values).toContain('\nparley_workers_silent 1\n');
      expect(values).toContain('\nparley_connections_opened_total 20\n');
    } finally {
      process.kill(hung, 'SIGCONT');
    }
    await until('it answers again', async () => (await server.metrics()).get('parley_workers_silent') === 0);
  }, 90_000);

  it('ends with its parent, however that ends', async () => {
    const server = await start();
    const [client] = await connectMany(server.url, 1);
    const pids = server.workers();
    server.kill('SIGKILL');
    await until('they are gone', () => pids.every((pid) => !alive(pid)));
    // in order: drained, not cut
    expect(client?.events.map(({ name }) => name)).toContain('drain');
    expect(await server.exit()).toEqual({ code: null, signal: 'SIGKILL' });
  }, 120_000);

  it('ends at once at the second signal', async () => {
    const server = await start({ PARLEY_DRAIN_MS: '3600000' });
    const [client] = await connectMany(server.url, 1);
    const pids = server.workers();
    server.kill('SIGTERM');
    await client?.event('drain');
    // within 300 ms the same signal counts once: npm passes Ctrl-C on besides the terminal
    await delay(500);
    server.kill('SIGTERM');
    expect(await server.exit()).toEqual({ code: 1, signal: null });
    await until('they are gone', () => pids.every((pid) => !alive(pid)));
  }, 120_000);
});

describe('a group that cannot start', () => {
  it('says in one line what is missing', async () => {
    const { REDIS_URL: _, ...noRedis } = env;
    expect(await runProgram(['serve', '--workers', '2'], noRedis)).toMatchObject({
      code: 1,
      stdout: '',
      stderr: '2 workers need DATABASE_URL and REDIS_URL; without these settings only one process can run.\n',
    });
    expect(await runProgram(['serve', '--workers', 'many'], env)).toMatchObject({
      code: 1,
      stderr: '--workers many: expected auto or a whole number from 1 to 256.\n',
    });
    expect(await runProgram(['serve', '--worker', '1/2'], env)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('The option --worker is internal') as string,
    });
  }, 120_000);

  it('ends with what its workers say, once', async () => {
    await database.sql`insert into schema_migrations (number, name, checksum) values (9999, '9999_later.sql', 'x')`;
    try {
      const failed = await runProgram(['serve'], { ...env, PORT: '0', PARLEY_WORKERS: '3' });
      expect(failed.code).toBe(1);
      expect(failed.stderr).toMatch(/^[^\n]*9999_later[^\n]*\n$/);
    } finally {
      await database.sql`delete from schema_migrations where number = 9999`;
    }
  }, 120_000);
});

describe('a worker that cannot start again', () => {
  it('is tried after longer and longer delays, while the others serve; a rolling restart gives up', async () => {
    const server = await start();
    const failures = () => server.log(endedByItself);
    await database.sql`insert into schema_migrations (number, name, checksum) values (9999, '9999_later.sql', 'x')`;
    try {
      const [first = 0, second] = server.workers();
      process.kill(first, 'SIGKILL');
      await until('it failed four times', () => failures().length >= 4, 30_000);
      const delays = failures().map(({ restartInMs = 0 }) => restartInMs);
      delays.forEach((delayMs, n) => {
        expect(delayMs).toBeGreaterThanOrEqual(100 * 2 ** n);
        expect(delayMs).toBeLessThanOrEqual(200 * 2 ** n);
      });
      expect(failures()[1]?.reason).toContain('9999_later');
      (await connectStock(server.url, await tokenOf('ann'))).close();

      server.kill('SIGHUP');
      await until('it gives up', () => server.log(givenUp).length === 1);
      expect(server.workers()[1]).toBe(second);
      (await connectStock(server.url, await tokenOf('ann'))).close();
      expect(server.ended()).toBeUndefined();
    } finally {
      await database.sql`delete from schema_migrations where number = 9999`;
    }
    await until('it is back', async () => (await server.metrics()).get('parley_workers{state="ready"}') === 2, 60_000);
    expect(total(await server.metrics(), 'parley_worker_restarts_total')).toBeGreaterThanOrEqual(4);
  }, 120_000);
});

describe('one worker', () => {
  it('without Redis serves without a parent', async () => {
    const { REDIS_URL: _, ...noRedis } = env;
    const port = await freePort();
    const program = startProgram(['serve', '--workers', '1'], { ...noRedis, PORT: String(port) });
    await until('it listens', () => program.stdout().includes('listens on'), 30_000);
    expect(program.stdout()).not.toContain('worker');
    const error = await connectError(`http://127.0.0.1:${port}`, {});
    expect(error.data?.code).toBe('unauthorized');
    program.kill('SIGTERM');
    expect(await program.exit()).toEqual({ code: 0, signal: null });
  }, 120_000);
});
