/** Sessions that stop serving, hosts that change their roles, and what a commit is worth. On a Postgres of its own. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Sql } from 'postgres';
import { createClient } from '../../src/storage/client.ts';
import { openServer, type Database } from '../../src/storage/database.ts';
import { sessionUnfit } from '../../src/storage/failure.ts';
import { HostChoice, splitHosts } from '../../src/storage/hosts.ts';
import { StartupError } from '../../src/startup-error.ts';
import { startOwnPostgres, type OwnService } from '../support/services.ts';
import { until } from '../support/until.ts';

let postgres: OwnService;
let admin: Database;
beforeAll(async () => {
  postgres = await startOwnPostgres();
  admin = await openServer({ url: postgres.url, poolSize: 1 });
  await admin.sql`create table kept (id int)`;
});
afterAll(async () => {
  await admin.close();
  await postgres.stop();
});

/** A setting of the whole cluster, as an operator or a failover changes it; sessions that set it themselves keep theirs. */
async function setCluster(name: string, value: string | undefined): Promise<void> {
  const { sql } = admin;
  await sql`set default_transaction_read_only = off`;
  await sql.unsafe(value === undefined ? `alter system reset ${name}` : `alter system set ${name} = ${value}`);
  await sql`select pg_reload_conf()`;
  await until(`new sessions have ${name}`, async () => {
    // a session that brings no settings of its own
    const other = createClient(postgres.url, { max: 1 });
    try {
      const [row] = await other<[{ source: string }]>`select source from pg_settings where name = ${name}`;
      return (row.source === 'configuration file') === (value !== undefined);
    } finally {
      await other.end();
    }
  });
}

const pids = async (sql: Sql, size: number): Promise<Set<number>> => {
  const rows = await Promise.all(
    Array.from({ length: size }, () => sql<[{ pid: number }]>`select pg_backend_pid() as pid, pg_sleep(0.2)`),
  );
  return new Set(rows.map(([{ pid }]) => pid));
};

describe('a session that becomes read-only', () => {
  it('leaves the pool with its first refused write, so sends work as soon as new sessions take writes', async () => {
    const pool = await openServer({ url: postgres.url, poolSize: 4 });
    const before = await pids(pool.sql, 4);
    expect(before.size).toBe(4);
    await setCluster('default_transaction_read_only', 'on');
    await admin.sql`alter database postgres set default_transaction_read_only = off`;
    try {
      // the sessions of before are read-only for the rest of their lives, new ones are not
      const write = (): Promise<boolean> =>
        pool.sql`insert into kept values (1)`.then(
          () => true,
          () => false,
        );
      await until('a write is refused', async () => !(await write()));
      await until('every session was replaced', async () => {
        await Promise.all(Array.from({ length: 4 }, write));
        return [...(await pids(pool.sql, 4))].every((pid) => !before.has(pid));
      });
      expect(await Promise.all(Array.from({ length: 20 }, write))).not.toContain(false);
    } finally {
      await pool.close();
      await setCluster('default_transaction_read_only', undefined);
      await admin.sql`alter database postgres reset default_transaction_read_only`;
    }
  });

  it('ends after its transaction, and what was pipelined behind the refused statement is answered', async () => {
    const pool = await openServer({ url: postgres.url, poolSize: 1 });
    const [{ pid }] = await pool.sql<[{ pid: number }]>`select pg_backend_pid() as pid`;
    await pool.sql`set default_transaction_read_only = on`;
    await pool.sql`select pg_sleep(1.1)`;
    const answers = await Promise.allSettled([
      pool.sql`insert into kept values (2)`,
      pool.sql`select 1 as one`,
      pool.sql`select 2 as two`,
    ]);
    expect(answers[0]).toMatchObject({ reason: { code: '25006' } });
    expect(answers[1]).toMatchObject({ value: [{ one: 1 }] });
    expect(answers[2]).toMatchObject({ value: [{ two: 2 }] });
    const [after] = await pool.sql<[{ pid: number }]>`select pg_backend_pid() as pid`;
    expect(after.pid).not.toBe(pid);
    await pool.sql`set default_transaction_read_only = on`;
    await pool.sql`select pg_sleep(1.1)`;
    await expect(pool.sql.begin((tx) => tx`insert into kept values (3)`)).rejects.toMatchObject({ code: '25006' });
    expect((await pool.sql<[{ pid: number }]>`select pg_backend_pid() as pid`)[0].pid).not.toBe(after.pid);
    await pool.close();
  });

  it.each([
    ['25006', 'ERROR', 5000, true],
    ['25006', 'ERROR', 999, false],
    ['57P01', 'FATAL', 10, true],
    ['57P05', 'ERROR', 10, true],
    ['08006', 'ERROR', 10, true],
    ['53300', 'ERROR', 10, true],
    ['26000', 'ERROR', 10, true],
    ['42P05', 'ERROR', 10, true],
    ['XX000', 'PANIC', 10, true],
    ['23505', 'ERROR', 5000, false],
    ['40P01', 'ERROR', 5000, false],
    ['57014', 'ERROR', 5000, false],
    ['22001', 'ERROR', 5000, false],
  ])('%s with severity %s after %d ms: leaves the pool is %s', (code, severity, ageMs, unfit) => {
    expect(sessionUnfit({ code, severity }, ageMs)).toBe(unfit);
  });
});

const list = (text: string): string[] => splitHosts(text).hosts.map(({ host, port }) => `${host} ${port}`);

const where = async (sql: Sql): Promise<string> => {
  const [row] = await sql<[{ port: string }]>`select current_setting('port') as port`;
  return row.port;
};

describe('several hosts', () => {
  it('are read as libpq reads them', () => {
    expect(list('postgres://u:p@a:5433,b/db')).toEqual(['a 5433', 'b 5432']);
    expect(list('postgres://u:p%40x@[::1]:5433,[fe80::2],c:1/db?sslmode=require')).toEqual([
      '::1 5433',
      'fe80::2 5432',
      'c 1',
    ]);
    expect(list('postgres://u@/db?host=a,b&port=1,2')).toEqual(['a 1', 'b 2']);
    expect(list('postgres://u@/db?host=a,b&port=7')).toEqual(['a 7', 'b 7']);
    expect(splitHosts('postgres://u:p@a:1,b:2/db?target_session_attrs=read-write&jit=off')).toMatchObject({
      url: 'postgres://u:p@a:1/db?jit=off',
      writable: true,
    });
    expect(splitHosts('postgres://u@a:1,b:2/db?target_session_attrs=any')).toMatchObject({ writable: false });
    expect(splitHosts('postgres://u@one:1/db?target_session_attrs=primary').url).toBe('postgres://u@one:1/db');
    // nothing that was good is changed
    for (const same of ['postgres://u:p@a/db?host=%2Frun', 'postgresql:///db', 'postgres://a'])
      expect(splitHosts(same).url).toBe(same);
  });

  it.each([
    'postgres://u@a:1,b:99999/db',
    'postgres://u@a,,b/db',
    'postgres://u@/db?host=a,b&port=1,2,3',
    'postgres://u@a,b/db?target_session_attrs=standby',
  ])('that make no sense are refused in words, without the URL: %s', async (url) => {
    const error: unknown = await openServer({ url: url.replace('u@', 'u:hunter2@'), poolSize: 1 }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(StartupError);
    expect(String(error)).toMatch(/DATABASE_URL: .*expected/);
    expect(String(error)).not.toContain('hunter2');
  });

  it('are tried in order; one round of probes serves all callers, and a change begins another round', async () => {
    const hosts = ['a', 'b', 'c'].map((host) => ({ host, port: 1 }));
    const roles = new Map<string, boolean | Error>([
      ['a', new Error('down')],
      ['b', true],
      ['c', true],
    ]);
    let probes = 0;
    const choice = new HostChoice(hosts, ({ host }) => {
      probes++;
      const role = roles.get(host) ?? false;
      return role instanceof Error ? Promise.reject(role) : Promise.resolve(role);
    });
    const names = await Promise.all([choice.choose(), choice.choose()]);
    expect(names.map(({ host }) => host)).toEqual(['b', 'b']);
    expect(probes).toBe(3);
    roles.set('b', false);
    expect((await choice.choose()).host).toBe('b');
    choice.reconsider();
    expect((await choice.choose()).host).toBe('c');
    roles.set('c', false);
    choice.reconsider();
    await expect(choice.choose()).rejects.toThrow('down');
    roles.set('a', true);
    expect((await choice.choose()).host).toBe('a');
  });

  it('of which one is read-only and one is down: sessions go to the one that takes writes, and move with it', async () => {
    const own = new URL(postgres.url);
    const shared = new URL(inject('postgresUrl'));
    expect(own.password).toBe(shared.password);
    await setCluster('default_transaction_read_only', 'on');
    const url = `postgres://${own.username}:${own.password}@127.0.0.1:1,${own.host},${shared.host}/postgres`;
    const pool = await openServer({ url, poolSize: 2 });
    expect(await where(pool.sql)).toBe(shared.port);
    await setCluster('default_transaction_read_only', undefined);
    const moved = await openServer({ url, poolSize: 2 });
    // the first in order that takes writes
    expect(await where(moved.sql)).toBe(own.port);
    await setCluster('default_transaction_read_only', 'on');
    const write = (): Promise<unknown> =>
      moved.sql`create temporary table x (id int)`.then(() => moved.sql`drop table x`);
    const failed = `insert into kept values (9)`;
    await until('sessions have moved', async () => {
      await moved.sql.unsafe(failed).catch(() => {});
      return (await where(moved.sql)) === shared.port;
    });
    await write();
    await setCluster('default_transaction_read_only', undefined);
    await pool.close();
    await moved.close();
  });

  it('of which none takes writes are named at the start, in one line', async () => {
    const url = 'postgres://u:hunter2@127.0.0.1:1,127.0.0.1:2/x';
    await expect(openServer({ url, poolSize: 1, connectTimeoutSeconds: 5 })).rejects.toThrow(
      /^Postgres at 127\.0\.0\.1:1, 127\.0\.0\.1:2 cannot be reached: ECONNREFUSED$/,
    );
  });
});

const effective = async (url: string): Promise<string> => {
  const pool = await openServer({ url, poolSize: 1 });
  try {
    const [row] = await pool.sql<[{ value: string }]>`select current_setting('synchronous_commit') as value`;
    return row.value;
  } finally {
    await pool.close();
  }
};

describe('synchronous_commit', () => {
  it.each([
    ['off', 'on'],
    ['local', 'local'],
    ['remote_write', 'remote_write'],
    ['remote_apply', 'remote_apply'],
    ['on', 'on'],
  ])('%s in the cluster is %s in the sessions of Parley', async (cluster, session) => {
    await setCluster('synchronous_commit', cluster);
    expect(await effective(postgres.url)).toBe(session);
    await setCluster('synchronous_commit', undefined);
  });

  it('off in the URL, or set while the server runs, is on in the sessions', async () => {
    expect(await effective(`${postgres.url}?synchronous_commit=off`)).toBe('on');
    const pool = await openServer({ url: postgres.url, poolSize: 1 });
    await setCluster('synchronous_commit', 'off');
    const [row] = await pool.sql<[{ value: string }]>`select current_setting('synchronous_commit') as value`;
    expect(row.value).toBe('on');
    await pool.close();
    await setCluster('synchronous_commit', undefined);
  });
});
