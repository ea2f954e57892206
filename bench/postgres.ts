/**
 * A Postgres with fsync and synchronous_commit as installed: on. SQL writes the rooms and members of the big rows. 45,000
 * joins over the wire would take longer than all measurements.
 */
import postgres from 'postgres';
import { startPostgres, type Service } from '../test/support/services.ts';

export interface Database {
  readonly url: string;
  readonly version: string;
  readonly settings: string;
  /** Makes an empty database on the same server, because a Parley without Redis shares its database with no other. `stop` drops it too. */
  another(): Promise<Database>;
  stop(): Promise<void>;
}

/** @returns the reason if there is no Postgres. `TEST_DATABASE_URL` names a running one. */
export async function openPostgres(): Promise<Database | string> {
  let service: Service;
  try {
    service = await startPostgres({ fsync: true });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const name = `parley_bench_${process.pid}`;
  const admin = postgres(service.url, { max: 1, onnotice: () => undefined });
  try {
    await admin.unsafe(`create database ${name}`);
    const [row] = await admin<{ version: string; fsync: string; commit: string }[]>`
      select current_setting('server_version') as version, current_setting('fsync') as fsync,
        current_setting('synchronous_commit') as commit`;
    const names = [name];
    const named = (database: string): Database => {
      const own = new URL(service.url);
      own.pathname = `/${database}`;
      return {
        url: own.href,
        version: row?.version ?? '?',
        settings: `fsync ${row?.fsync}, synchronous_commit ${row?.commit}`,
        async another() {
          const next = `${name}_${names.length}`;
          names.push(next);
          await create(service, next);
          return named(next);
        },
        stop: () => discard(service, names),
      };
    };
    return named(name);
  } catch (error) {
    await service.stop();
    throw error;
  } finally {
    await admin.end({ timeout: 1 });
  }
}

async function create(service: Service, name: string): Promise<void> {
  const admin = postgres(service.url, { max: 1, onnotice: () => undefined });
  try {
    await admin.unsafe(`create database ${name}`);
  } finally {
    await admin.end({ timeout: 1 });
  }
}

/** Drops the databases of the bench, because the server may stay. */
async function discard(service: Service, names: readonly string[]): Promise<void> {
  const admin = postgres(service.url, { max: 1, onnotice: () => undefined });
  try {
    for (const name of names) await admin.unsafe(`drop database if exists ${name} with (force)`);
  } finally {
    await admin.end({ timeout: 1 });
    await service.stop();
  }
}

export interface Membership {
  room: string;
  user: string;
}

/** Writes channels with these members, the first of each as its owner. A start of Parley must have made the tables. */
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
