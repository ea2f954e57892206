/**
 * A Postgres of the bench's own, in its temporary folder, with fsync and synchronous_commit as installed: on. Rooms
 * and members of the big rows are written straight into the tables; joining 45,000 times over the wire would take
 * longer than all that is measured.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { freePort, type Lab } from './lab.ts';

export interface Database {
  readonly url: string;
  readonly version: string;
  readonly settings: string;
}

/** @returns why not, where there is no Postgres to be had. `TEST_DATABASE_URL` names one that runs already. */
export async function openPostgres(lab: Lab): Promise<Database | string> {
  const given = process.env['TEST_DATABASE_URL'];
  const url = given ?? (await startOwn(lab));
  if (!/^postgres(ql)?:/.test(url)) return url;
  const admin = postgres(url, { max: 1, onnotice: () => undefined });
  try {
    const name = `parley_bench_${process.pid}`;
    await waitFor(() => admin`select 1`);
    await admin.unsafe(`create database ${name}`);
    const [row] = await admin<{ version: string; fsync: string; commit: string }[]>`
      select current_setting('server_version') as version, current_setting('fsync') as fsync,
        current_setting('synchronous_commit') as commit`;
    const own = new URL(url);
    own.pathname = `/${name}`;
    return {
      url: own.href,
      version: row?.version ?? '?',
      settings: `fsync ${row?.fsync}, synchronous_commit ${row?.commit}`,
    };
  } finally {
    await admin.end({ timeout: 1 });
  }
}

/** Removes the bench's database from a server that stays. One that was started here goes away as a whole. */
export async function dropDatabase(database: Database): Promise<void> {
  const given = process.env['TEST_DATABASE_URL'];
  if (given === undefined) return;
  const admin = postgres(given, { max: 1, onnotice: () => undefined });
  await admin.unsafe(`drop database if exists ${new URL(database.url).pathname.slice(1)} with (force)`);
  await admin.end({ timeout: 1 });
}

function binaries(): string | undefined {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...versions.map((version) => join(debian, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(':'),
  ];
  return folders.find((folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')));
}

async function startOwn(lab: Lab): Promise<string> {
  const bin = binaries();
  if (bin === undefined) return 'no Postgres: install it (Debian: apt-get install postgresql) or set TEST_DATABASE_URL';
  const data = join(lab.folder, 'postgres');
  mkdirSync(data, { mode: 0o700 });
  let as: { uid?: number; gid?: number } = {};
  if (process.getuid?.() === 0) {
    // Postgres refuses to run as root.
    const id = (flag: string): number => Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout);
    as = { uid: id('-u'), gid: id('-g') };
    chmodSync(lab.folder, 0o755);
    spawnSync('chown', ['postgres', data]);
  }
  const made = spawnSync(join(bin, 'initdb'), ['-D', data, '-U', 'bench', '-A', 'trust', '-E', 'UTF8', '--locale=C'], {
    ...as,
    cwd: '/',
    encoding: 'utf8',
  });
  if (made.status !== 0) return `initdb failed: ${made.stderr}`;
  const port = await freePort();
  const settings = ['listen_addresses=127.0.0.1', `unix_socket_directories=${data}`, `port=${port}`];
  lab.start(join(bin, 'postgres'), ['-D', data, ...settings.flatMap((setting) => ['-c', setting])], {
    stopSignal: 'SIGINT',
    cwd: '/',
    ...as,
  });
  return `postgres://bench@127.0.0.1:${port}/postgres`;
}

async function waitFor(attempt: () => Promise<unknown>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (tries === 100) throw error;
      await sleep(100);
    }
  }
}

export interface Membership {
  room: string;
  user: string;
}

/** Channels with these members, the first of each its owner. The tables must be there: Parley has run once. */
export async function seed(database: Database, memberships: readonly Membership[]): Promise<void> {
  const sql = postgres(database.url, { max: 1, onnotice: () => undefined });
  const rooms = memberships.map((m) => m.room);
  const users = memberships.map((m) => m.user);
  try {
    await sql.begin(async (tx) => {
      await tx`insert into users (id) select distinct u from unnest(${users}::text[]) as u on conflict do nothing`;
      await tx`
        insert into rooms (id, kind, name, created_by, member_count)
        select r, 'channel', 'Room ' || r, min(u), count(*) from unnest(${rooms}::text[], ${users}::text[]) as m (r, u)
        group by r`;
      await tx`
        insert into members (room_id, user_id, role)
        select r, u, case when row_number() over (partition by r order by n) = 1 then 'owner' else 'member' end
        from unnest(${rooms}::text[], ${users}::text[]) with ordinality as m (r, u, n)`;
    });
    await sql`analyze users, rooms, members`;
  } finally {
    await sql.end({ timeout: 1 });
  }
}
