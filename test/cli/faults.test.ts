/** Faults of the machine or the operator: one true line and no stack. A process lives on at its limits. */
import { spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { capConnections, openFilesLimit, ResidentMemory } from '../../src/telemetry/system.ts';
import { every } from '../../src/jobs/periodic.ts';
import { asAdministrator, createTestDatabase, type TestDatabase } from '../support/database.ts';
import { testSecret, tokenOf } from '../support/server.ts';
import { entry, runProgram, spawnServer } from '../support/spawn.ts';
import { connectStock } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const base = {
  PARLEY_JWT_SECRET: testSecret,
  PARLEY_HOST: '127.0.0.1',
  PORT: '0',
  PARLEY_DRAIN_MS: '0',
  PARLEY_LOG_LEVEL: 'error',
};

const start = async (env: Record<string, string>): Promise<string> => {
  const { code, stderr, stdout } = await runProgram(['serve'], { ...base, DATABASE_URL: database.url, ...env });
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  return stderr;
};

describe('a start that cannot be', () => {
  it('for want of connections says so', async () => {
    const role = `few_${randomBytes(4).toString('hex')}`;
    await asAdministrator((sql) => sql.unsafe(`create role ${role} superuser login password 'x'`));
    await asAdministrator((sql) => sql.unsafe(`alter role ${role} nosuperuser connection limit 0`));
    try {
      const url = new URL(database.url);
      [url.username, url.password] = [role, 'x'];
      expect(await start({ DATABASE_URL: url.href })).toMatch(
        new RegExp(`^Postgres at .* has no connection left for "${role}" .*; raise max_connections`),
      );
      // the pool has one, the lock has none
      await asAdministrator((sql) => sql.unsafe(`alter role ${role} connection limit 1`));
      expect(await start({ DATABASE_URL: url.href })).toMatch(/has no connection left for|does not let/);
    } finally {
      await asAdministrator((sql) => sql.unsafe(`drop role ${role}`));
    }
  });

  it('for a read-only database at the first migration says so', async () => {
    const empty = await createTestDatabase({ empty: true });
    const name = new URL(empty.url).pathname.slice(1);
    await asAdministrator((sql) => sql.unsafe(`alter database ${name} set default_transaction_read_only = on`));
    expect(await start({ DATABASE_URL: empty.url })).toMatch(/^Postgres at \S+ is read-only: cannot execute/);
    const migrate = await runProgram(['migrate'], { ...base, DATABASE_URL: empty.url });
    expect(migrate).toMatchObject({ code: 1, stdout: '' });
    expect(migrate.stderr).toMatch(/^Postgres at \S+ is read-only: cannot execute [^\n]*\n$/);
    await empty.drop();
  });

  it('for an address that this machine does not have, a taken port, a database host that is not known', async () => {
    expect(await start({ PARLEY_HOST: '203.0.113.7' })).toBe(
      'PARLEY_HOST=203.0.113.7: this machine has no such address.\n',
    );
    const taken = await spawnServer({ ...base, DATABASE_URL: database.url });
    const port = new URL(taken.url).port;
    const second = await createTestDatabase();
    expect(await start({ PORT: port, DATABASE_URL: second.url })).toBe(
      `Port ${port} on 127.0.0.1 is in use; set PORT to another port.\n`,
    );
    taken.kill('SIGTERM');
    await taken.exit();
    await second.drop();
    expect(await start({ DATABASE_URL: 'postgres://u:hunter2@db.invalid/x' })).toMatch(
      /^Postgres at db\.invalid:5432 cannot be reached: the name of the host is unknown/,
    );
  }, 60_000);
});

describe('Ctrl-C', () => {
  it('that arrives twice, as under npm run, is one signal: what was accepted is finished', async () => {
    const server = await spawnServer({ ...base, DATABASE_URL: database.url, PARLEY_DRAIN_MS: '1500' });
    const client = await connectStock(server.url, await tokenOf('ann'));
    server.kill('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 50));
    server.kill('SIGINT');
    const { code } = await server.exit();
    expect([code, server.stderr()]).toEqual([0, '']);
    client.close();
  });

  it('again after a second forces the end', async () => {
    const server = await spawnServer({ ...base, DATABASE_URL: database.url, PARLEY_DRAIN_MS: '20000' });
    const client = await connectStock(server.url, await tokenOf('ann'));
    server.kill('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 1000));
    server.kill('SIGINT');
    const { code } = await server.exit();
    expect([code, server.stderr()]).toEqual([
      1,
      'Second signal: the process ends at once. Commands without an acknowledgement may be lost.\n',
    ]);
    client.close();
  });
});

describe('at the limit of open files', () => {
  const sockets: Socket[] = [];
  afterEach(() => sockets.splice(0).forEach((socket) => socket.destroy()));

  it('the process lives, warns at its start, caps its connections, and serves when there is room again', async () => {
    const child = spawn('sh', ['-c', `ulimit -n 256; exec "${process.execPath}" "${entry}" serve`], {
      env: {
        PATH: process.env['PATH'] ?? '',
        NODE_ENV: 'production',
        DATABASE_URL: database.url,
        ...base,
        PARLEY_LOG_LEVEL: 'warn',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (out += text));
    let ended: number | null | undefined;
    child.once('exit', (code) => (ended = code));
    try {
      const url = await until('it listens', () => /listens on (\S+)/.exec(out)?.[1], 60_000);
      expect(out).toContain('The process may open 256 files, so it takes 133 connections instead of 50000');
      const { port } = new URL(url);
      for (let n = 0; n < 400; n++) {
        const socket = connect(Number(port), '127.0.0.1').on('error', () => {});
        sockets.push(socket);
      }
      // Only a wait can prove it: nothing outside shows the rounds of a process that takes no connection.
      await new Promise((resolve) => setTimeout(resolve, 4000));
      expect(ended, out).toBeUndefined();
      for (const socket of sockets.splice(0)) socket.destroy();
      await until('it is ready', async () => (await fetch(`${url}/ready`)).status === 200, 30_000);
      const client = await connectStock(url, await tokenOf('ann'));
      client.close();
      expect(ended, out).toBeUndefined();
    } finally {
      child.kill('SIGKILL');
    }
  }, 120_000);

  it('connections are capped below the limit, and no further than needed', () => {
    expect(capConnections(1000, 10, undefined)).toEqual({ maxConnections: 1000, warning: undefined });
    expect(capConnections(1000, 10, 100_000)).toEqual({ maxConnections: 1000, warning: undefined });
    const { maxConnections, warning } = capConnections(50_000, 10, 1024);
    expect(maxConnections).toBe(862);
    const needed = Number(/raise the limit to (\d+)/.exec(warning ?? '')?.[1]);
    expect(capConnections(50_000, 10, needed).warning).toBeUndefined();
    expect(capConnections(50_000, 10, needed - 2).warning).toBeDefined();
    expect(openFilesLimit(() => 'Max open files            1024                 4096                 files')).toBe(
      1024,
    );
    expect(
      openFilesLimit(() => 'Max open files            unlimited            unlimited            files'),
    ).toBeUndefined();
    expect(
      openFilesLimit(() => {
        throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
      }),
    ).toBeUndefined();
  });

  it('memory that cannot be read is what it was', () => {
    let fails = false;
    const memory = new ResidentMemory(() => {
      if (fails) throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
      return 5;
    });
    expect(memory.read()).toBe(5);
    fails = true;
    expect(memory.read()).toBe(5);
  });
});

describe('work that runs by itself', () => {
  it('goes on after an exception or a rejection, and reports the first of a row', async () => {
    const failures: string[] = [];
    let runs = 0;
    const timer = every(
      () => {
        runs++;
        if (runs <= 2) throw new Error('thrown');
        if (runs <= 4) return Promise.resolve();
        if (runs <= 6) return Promise.reject(new Error('rejected'));
        return undefined;
      },
      5,
      (error) => void failures.push(error.message),
    );
    await until('it ran often', () => runs > 8);
    clearInterval(timer);
    expect(failures).toEqual(['thrown', 'rejected']);
  });

  it('does not begin a run while one is under way', async () => {
    let runs = 0;
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const timer = every(
      () => {
        runs++;
        return new Promise(() => {});
      },
      5,
      () => {},
    );
    vi.advanceTimersByTime(100);
    clearInterval(timer);
    vi.useRealTimers();
    expect(runs).toBe(1);
  });
});
