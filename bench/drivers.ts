/**
 * node --import tsx bench/drivers.ts --pg FOLDER
 *
 * Compares the patched `postgres` driver with `pg`, on one Postgres, in alternating rounds. Install `pg` into FOLDER, because
 * Parley does not depend on it. The loads are reads of one row with 200 in flight over six connections, and commits of 100
 * messages with two in flight.
 */
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import postgres from 'postgres';
import { openServer } from '../src/storage/database.ts';
import { migrate } from '../src/storage/migrate.ts';
import { range } from './context.ts';
import { openPostgres } from './postgres.ts';
import { median } from './rounds.ts';

interface PgQuery {
  readonly name: string;
  readonly text: string;
  readonly values: readonly unknown[];
}
interface PgClient {
  connect(): Promise<unknown>;
  query(query: PgQuery): Promise<unknown>;
  end(): Promise<void>;
}
interface Pg {
  readonly Client: new (options: { connectionString: string; pipeline: boolean }) => PgClient;
  readonly Pool: new (options: { connectionString: string; max: number }) => Omit<PgClient, 'connect'>;
}
interface Form {
  readonly name: string;
  commit(batch: string): Promise<unknown>;
  read(room: string): Promise<unknown>;
  end(): Promise<unknown>;
}

const { values: args } = parseArgs({ options: { pg: { type: 'string' }, rounds: { type: 'string', default: '6' } } });
if (args.pg === undefined) throw new Error('--pg FOLDER is missing: a folder with node_modules/pg.');
const pg = createRequire(join(args.pg, 'package.json'))('pg') as Pg;

const connections = 6;
const ms = 1200;
const commitText = 'select * from append_messages($1::text[], $2::text::jsonb, $3::bigint[])';
const readText = 'select id, name, last_seq from rooms where id = $1';
const rooms = range(50, (n) => `room-${n}`);
const batch = (): string =>
  JSON.stringify(
    range(100, (n) => [rooms[n % 50], randomUUID(), 'ann', { text: 'a message of some words' }, null, null]),
  );

const database = await openPostgres();
if (typeof database === 'string') throw new Error(database);
const { url } = database;
try {
  await seed();
  const forms = [patched(), pool(), await pipelined()];
  const reads = new Map<string, number[]>();
  const commits = new Map<string, number[]>();
  for (let round = 0; round <= Number(args.rounds); round++) {
    for (const form of round % 2 === 0 ? forms : forms.toReversed()) {
      const perSecond = await rate(200, () => form.read(rooms[Math.floor(Math.random() * 50)] ?? ''));
      const messages = 100 * (await rate(2, () => form.commit(batch())));
      if (round === 0) continue;
      reads.set(form.name, [...(reads.get(form.name) ?? []), perSecond]);
      commits.set(form.name, [...(commits.get(form.name) ?? []), messages]);
    }
  }
  for (const { name } of forms) {
    const [read, commit] = [median(reads.get(name) ?? []), median(commits.get(name) ?? [])].map(Math.round);
    console.log(`${name.padEnd(20)} ${read?.toLocaleString('en')} reads/s, ${commit?.toLocaleString('en')} messages/s`);
  }
  for (const form of forms) await form.end();
} finally {
  await database.stop();
}

async function seed(): Promise<void> {
  const opened = await openServer({ url, poolSize: 2 });
  await opened.migrating(migrate);
  const { sql } = opened;
  await sql`insert into users (id) values ('ann')`;
  await sql`
    insert into rooms (id, kind, name, created_by, member_count)
    select id, 'group', id, 'ann', 1 from unnest(${rooms}::text[]) id`;
  await sql`insert into members (room_id, user_id, role) select id, 'ann', 'owner' from unnest(${rooms}::text[]) id`;
  await opened.close();
}

async function rate(inFlight: number, work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  let done = 0;
  await Promise.all(
    range(inFlight, async () => {
      for (; performance.now() < from + ms; done++) await work();
    }),
  );
  return done / ((performance.now() - from) / 1000);
}

function patched(): Form {
  const sql = postgres(url, { max: connections, onnotice: () => undefined });
  const none: number[] = [];
  return {
    name: 'postgres, patched',
    commit: async (json) =>
      sql`select * from append_messages(${rooms}::text[], ${json}::text::jsonb, ${none}::bigint[])`,
    read: async (room) => sql`select id, name, last_seq from rooms where id = ${room}`,
    end: () => sql.end(),
  };
}

function pool(): Form {
  const clients = new pg.Pool({ connectionString: url, max: connections });
  return {
    name: 'pg, pool',
    commit: (json) => clients.query({ name: 'commit', text: commitText, values: [rooms, json, []] }),
    read: (room) => clients.query({ name: 'read', text: readText, values: [room] }),
    end: () => clients.end(),
  };
}

async function pipelined(): Promise<Form> {
  const clients = range(connections, () => new pg.Client({ connectionString: url, pipeline: true }));
  for (const client of clients) await client.connect();
  let turn = 0;
  const next = (): PgClient => clients[turn++ % connections] as PgClient;
  return {
    name: 'pg, pipeline: true',
    commit: (json) => next().query({ name: 'commit', text: commitText, values: [rooms, json, []] }),
    read: (room) => next().query({ name: 'read', text: readText, values: [room] }),
    end: () => Promise.all(clients.map((client) => client.end())),
  };
}
