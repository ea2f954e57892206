/** A node with a role of Postgres that may read and write rows, and nothing else. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openServer } from '../../src/storage/database.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { migrateQueues } from '../../src/notifications/lanes/queue-schema.ts';
import { rightsOf } from '../../src/protocol/permissions.ts';
import { RoomPurge } from '../../src/retention/room-purge.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { StartupError } from '../../src/startup-error.ts';
import { asAdministrator, createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createEarlierDatabase } from '../support/earlier.ts';
import { silentLog } from '../support/messaging.ts';
import { startServer, tokenOf } from '../support/server.ts';
import { connectStock, text } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

const grants = readFileSync(fileURLToPath(new URL('../../deploy/postgres-roles.sql', import.meta.url)), 'utf8');
const suffix = randomBytes(4).toString('hex');
const [node, owner] = [`node_${suffix}`, `owner_${suffix}`];
let database: TestDatabase;

const urlOf = (role: string, of: TestDatabase): string => {
  const url = new URL(of.url);
  [url.username, url.password] = [role, 'x'];
  return url.href;
};

beforeAll(async () => {
  database = await createTestDatabase();
  await asAdministrator(async (sql) => {
    for (const role of [node, owner])
      await sql.unsafe(`create role ${role} login nosuperuser nocreatedb nocreaterole password 'x'`);
  });
  await migrateQueues(database.sql);
  // in the place of psql, which puts the name in
  await database.sql.unsafe(grants.replaceAll(':"role"', `"${node}"`));
});
afterAll(async () => {
  await database.drop();
  await asAdministrator(async (sql) => {
    for (const role of [node, owner]) await sql.unsafe(`drop role ${role}`);
  });
});

it('serves: nothing but rows is written where no migration is pending', async () => {
  const server = await startServer(
    {
      DATABASE_URL: urlOf(node, database),
      PARLEY_RETENTION_EVERY_MS: '100',
      // it asks until it has found
      PARLEY_COMMANDS_PER_SECOND: '100000',
      PARLEY_COMMAND_BURST: '100000',
    },
    database,
  );
  let report = '';
  const ann = await connectStock(server.url, await tokenOf('ann'));
  await ann.ok('room:create', { kind: 'channel', name: 'R', id: 'r' });
  const { seq } = await ann.ok('message:send', text('r', { text: 'hello there' }));
  await ann.ok('message:edit', { room: 'r', seq, body: { text: 'hello again' } });
  await ann.ok('reaction:add', { room: 'r', seq, emoji: '👍' });
  await ann.ok('message:pin', { room: 'r', seq });
  await ann.ok('link:create', { room: 'r' });
  await ann.ok('read', { room: 'r', seq });
  await until('it is found', async () => (await ann.ok('search', { query: 'again' })).hits.length === 1);
  await ann.ok('session:revoke', { all: true });
  await ann.ok('room:create', { kind: 'group', name: 'G', id: 'g' });
  await ann.ok('room:delete', { room: 'g' });
  await until(
    'it is ready',
    async () => {
      const answer = await fetch(`${server.url}/ready`);
      report = await answer.text();
      return answer.status === 200;
    },
    5000,
  ).catch((error: unknown) => {
    throw new Error(report, { cause: error });
  });
  const metrics = await server.metrics();
  for (const [series, value] of metrics) {
    if (/_failures_total|internal_errors/.test(series)) expect([series, value]).toEqual([series, 0]);
  }
  ann.close();
  await server.stop();
});

it('may make, change and drop nothing else', async () => {
  const opened = await openServer({ url: urlOf(node, database), poolSize: 1 });
  for (const statement of [
    'create table x (n int)',
    'drop table messages',
    'alter table messages add column x int',
    'truncate messages',
    'delete from schema_migrations',
    'delete from schema_functions',
    'create or replace function search_unspaced() returns text language sql as $$ select $q$x$q$ $$',
    "copy messages to program 'true'",
    'create role x',
  ]) {
    await expect(opened.sql.unsafe(statement), statement).rejects.toMatchObject({ code: '42501' });
  }
  await opened.close();
});

it('does not start while a function file is pending, and says so', async () => {
  await database.sql`update schema_functions set checksum = '' where name = 'has_blocked'`;
  const refused: unknown = await startServer({ DATABASE_URL: urlOf(node, database) }, database).catch(
    (error: unknown) => error,
  );
  expect(refused).toBeInstanceOf(StartupError);
  expect(String(refused)).toContain(`does not let "${node}" do what Parley needs`);
  await migrate(database.sql);
  const server = await startServer({ DATABASE_URL: urlOf(node, database) }, database);
  await server.stop();
});

it('gets no right to write to schema_functions by the default privileges of an earlier release', async () => {
  const earlier = await createEarlierDatabase('0028');
  const script = grants
    .replaceAll(':"role"', `"${node}"`)
    .replace('schema_migrations, schema_functions', 'schema_migrations');
  await earlier.sql.unsafe(script);
  await migrate(earlier.sql);
  const opened = await openServer({ url: urlOf(node, earlier), poolSize: 1 });
  await expect(opened.sql`select name from schema_functions`).resolves.not.toHaveLength(0);
  for (const statement of [
    "insert into schema_functions values ('x', 'x')",
    "update schema_functions set checksum = ''",
    'delete from schema_functions',
  ]) {
    await expect(opened.sql.unsafe(statement), statement).rejects.toMatchObject({ code: '42501' });
  }
  await opened.sql`insert into users (id) values ('ann')`;
  await opened.close();
  await earlier.drop();
});

it('a role that owns the database and is no superuser applies all migrations', async () => {
  const empty = await createTestDatabase({ empty: true });
  const name = new URL(empty.url).pathname.slice(1);
  await asAdministrator((sql) => sql.unsafe(`alter database ${name} owner to ${owner}`));
  const opened = await openServer({ url: urlOf(owner, empty), poolSize: 1 });
  expect((await migrate(opened.sql)).length).toBeGreaterThan(10);
  await opened.close();
  await empty.drop();
});

it('a role with the name of the schema of parley.publish migrates the tables of its first schema', async () => {
  const empty = await createTestDatabase({ empty: true });
  const name = new URL(empty.url).pathname.slice(1);
  await asAdministrator((sql) =>
    sql.unsafe(`create role parley login password 'x'; alter database ${name} owner to parley`),
  );
  try {
    const opened = await openServer({ url: urlOf('parley', empty), poolSize: 1 });
    await migrate(opened.sql);
    // "$user" is the first schema of its sessions from now on
    await opened.sql`update schema_functions set checksum = '' where name = 'append_messages'`;
    expect(await migrate(opened.sql)).toEqual(['functions/append_messages']);
    const made = await opened.sql`
      select proname from pg_proc where pronamespace = 'parley'::regnamespace
      union all select relname from pg_class where relnamespace = 'parley'::regnamespace`;
    expect(made).toEqual([{ proname: 'publish' }]);
    await opened.sql`select create_room('r', 'group', 'r', 'ann', null, 100)`;
    await opened.sql`select delete_room('r', 'ann', ${rightsOf('delete')}::text::jsonb)`;
    const purge = new RoomPurge({ sql: opened.sql, metrics: new Metrics(), log: silentLog, pauseMs: 1 });
    await until('the room is purged', async () => (await opened.sql`select from members`).length === 0);
    await purge.stop();
    await opened.close();
  } finally {
    await empty.drop();
    await asAdministrator((sql) => sql.unsafe('drop role parley'));
  }
});

it('only the owner and parley_publisher may call parley.publish', async () => {
  const [row] = await database.sql<{ granted: boolean }[]>`
    select has_function_privilege('parley_publisher', 'parley.publish(text, uuid, text, jsonb, bigint, text)', 'execute') as granted`;
  expect(row).toEqual({ granted: true });
  // everybody may call functions unless a migration says otherwise
  const [others] = await database.sql<{ granted: boolean }[]>`
    select has_function_privilege(${node}, 'parley.publish(text, uuid, text, jsonb, bigint, text)', 'execute') as granted`;
  expect(others).toEqual({ granted: false });
});
