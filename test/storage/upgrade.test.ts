/** Databases of earlier releases, with rows in them: the present release brings them up to date and serves them. */
import { afterEach, describe, expect, it } from 'vitest';
import type postgres from 'postgres';
import { migrationsPending } from '../../src/storage/migrate.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createEarlierDatabase } from '../support/earlier.ts';
import { describeSchema } from '../support/schema.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

let database: TestDatabase | undefined;
let server: TestServer | undefined;
const clients: StockClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await server?.stop();
  await database?.drop();
});

const id = (n: number): string => `00000000-0000-4000-8000-00000000000${n}`;
const reactionsCame = '0004';
const invitationsCame = '0005';

/** A group of Ann and Ben with three messages, made by the functions of that release. */
async function fill(sql: postgres.Sql, release: string): Promise<void> {
  await sql`insert into users (id, name) values ('ann', 'Ann'), ('ben', 'Ben'), ('cat', 'Cat')`;
  await sql`insert into rooms (id, kind, name, created_by, member_count) values ('r', 'group', 'Room', 'ann', 2)`;
  await sql`insert into members (room_id, user_id, role) values ('r', 'ann', 'owner'), ('r', 'ben', 'member')`;
  const batch = ['one', 'two', 'three'].map((word, n) => [
    'r',
    id(n),
    n === 1 ? 'ben' : 'ann',
    { text: word },
    null,
    null,
  ]);
  await sql`select from append_messages(array['r'], ${JSON.stringify(batch)}::text::jsonb, '{}'::bigint[])`;
  if (release >= reactionsCame) {
    const changes = [['r', [[0, 'add', 1, 'ben', '👍']]]];
    await sql`
      select from change_messages(array['r'], ${JSON.stringify(changes)}::text::jsonb, '{}'::bigint[], 0::bigint, 20, 20)`;
  }
  if (release >= invitationsCame) {
    await sql`
      insert into invitations (room_id, user_id, role, invited_by, expires_at)
      values ('r', 'cat', 'member', 'ann', now() + interval '1 day')`;
  }
}

async function connect(url: string, user: string): Promise<StockClient> {
  const client = await connectStock(url, await tokenOf(user));
  clients.push(client);
  return client;
}

const rows = async (sql: postgres.Sql): Promise<readonly unknown[]> => sql`
  select m.seq, m.id, m.rev, m.sender_id, m.body, m.created_at,
    (select string_agg(u.user_id || ' ' || u.role, ', ' order by u.user_id) from members u where u.room_id = 'r') as members
  from messages m where m.room_id = 'r' order by m.seq`;

describe.each(['0001', '0005', '0008', '0011', '0015', '0028'])('a database that ends with migration %s', (release) => {
  it('keeps its rows and serves them', async () => {
    database = await createEarlierDatabase(release);
    const { sql } = database;
    await fill(sql, release);
    const before = await rows(sql);
    server = await startServer({ PARLEY_COMMANDS_PER_SECOND: '10000', PARLEY_COMMAND_BURST: '10000' }, database);
    expect(await migrationsPending(sql)).toEqual([]);
    expect(await rows(sql)).toEqual(before);

    const [ann, ben, cat] = [
      await connect(server.url, 'ann'),
      await connect(server.url, 'ben'),
      await connect(server.url, 'cat'),
    ];
    const first = await ann.ok('sync', { cursors: { r: 0 } });
    const held = first.rooms['r'];
    expect(held?.messages.toSorted((a, b) => a.seq - b.seq).map(({ seq, from, body }) => [seq, from, body])).toEqual([
      [1, 'ann', { text: 'one' }],
      [2, 'ben', { text: 'two' }],
      [3, 'ann', { text: 'three' }],
    ]);
    if (release >= reactionsCame) expect(JSON.stringify(held?.messages)).toContain('"emoji":"👍","count":1');
    else await ben.ok('reaction:add', { room: 'r', seq: 1, emoji: '👍' });

    if (release < invitationsCame) await ann.ok('invitation:create', { room: 'r', user: 'cat', role: 'member' });
    await cat.ok('invitation:accept', { room: 'r' });
    expect(await cat.ok('message:send', text('r', { text: 'four' }))).toMatchObject({ seq: 4 });
    await ann.ok('message:edit', { room: 'r', seq: 1, body: { text: 'first' } });
    await ben.ok('message:delete', { room: 'r', seq: 2 });
    await cat.ok('reaction:add', { room: 'r', seq: 1, emoji: '👍' });
    await ann.ok('read', { room: 'r', seq: 4 });

    const next = await ben.ok('sync', { cursors: { r: held?.rev ?? 0 } });
    const changed = next.rooms['r']?.messages.toSorted((a, b) => a.seq - b.seq) ?? [];
    expect(changed.map(({ seq, body }) => [seq, body ?? null])).toEqual([
      [1, { text: 'first' }],
      [2, null],
      [4, { text: 'four' }],
    ]);
    expect(JSON.stringify(changed[0])).toContain('"emoji":"👍","count":2');
    await until('the messages of before are found', async () => {
      const { hits } = await ann.ok('search', { query: 'three' });
      return hits.length === 1;
    });
    expect(await sql`select last_seq, member_count from rooms`).toEqual([{ last_seq: 4, member_count: 3 }]);
    expect(await sql`select array_agg(seq order by seq) as seqs from messages`).toEqual([{ seqs: [1, 2, 3, 4] }]);
  });
});

it('a database that ends with migration 0028 comes to the schema of a new one', async () => {
  database = await createEarlierDatabase('0028');
  const fresh = await createTestDatabase();
  server = await startServer({ PARLEY_COMMANDS_PER_SECOND: '10000', PARLEY_COMMAND_BURST: '10000' }, database);
  expect(await describeSchema(database.sql)).toBe(await describeSchema(fresh.sql));
  await fresh.drop();
});
