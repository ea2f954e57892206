/** Pages of `history`, whose text Postgres writes. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { history, pagesOf } from '../../src/messages/history.ts';
import { messageColumns } from '../../src/messages/message-columns.ts';
import { messageJson, type StoredMessage } from '../../src/messages/message-json.ts';
import type { postgres } from '../../src/storage/sql.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let sql: postgres.Sql;
const head = 40;
const first = 3;

beforeAll(async () => {
  database = await createTestDatabase();
  ({ sql } = database);
  await sql`insert into users (id, name) values ('ann', ${'A "quoted" \\ \u0001\t\n é 😀 \u2028'}), ('ben', null)`;
  await sql`
    insert into rooms (id, kind, name, created_by, last_seq, last_rev, first_seq, member_count)
    select r, 'channel', r, 'ann', ${head}, 77, ${first}, 1 from unnest(array['changed', 'other', 'foreign']) as r`;
  await sql`
    insert into rooms (id, kind, name, created_by, last_rev, member_count) values ('empty', 'group', 'E', 'ann', 0, 1), ('hidden', 'group', 'H', 'ben', 0, 1)`;
  await sql`
    insert into members (room_id, user_id, role)
    select r, 'ann', 'member' from unnest(array['changed', 'other', 'empty']) as r`;
  await sql`
    insert into messages (room_id, seq, id, rev, sender_id, body, created_at, reply_to, changed, edited_at, deleted_at)
    select r, n, gen_random_uuid(), n, case when n % 2 = 0 then 'ann' when n % 3 = 0 then 'ben' else 'unknown' end,
      case when n % 7 = 0 then null else jsonb_build_object('text', E'"\\\\ \\n é', 'n', 12345678901234567890::numeric) end,
      now() + n * interval '1234.567 ms', case when n % 3 = 0 then 1 end, n % 5 = 0,
      case when n % 10 = 0 then now() end, case when n % 7 = 0 then now() end
    from unnest(array['changed', 'other', 'foreign']) as r, generate_series(1, ${head}) n`;
  await sql`
    insert into reaction_counts (room_id, seq, emoji, count, first_rev)
    select 'changed', n, e, 2, n from generate_series(5, ${head}, 5) n, unnest(array['👍', '"']) as e`;
  await sql`
    insert into reactions (room_id, seq, emoji, user_id, created_at) select 'changed', n, '👍', 'ann', now() from generate_series(5, ${head}, 10) n`;
  await sql`select recount_threads('changed', false)`;
});
afterAll(() => database.drop());

/** The page as the rows of the room say it. */
async function expected(room: string, { before, after, limit }: Question): Promise<string> {
  const rows = await sql<StoredMessage[]>`
    select ${messageColumns(sql, 'ann')}, u.name from messages t left join users u on u.id = t.sender_id
    where t.room_id = ${room} and t.seq >= ${first} order by t.seq`;
  const found = rows.filter(({ seq }) => seq > (after ?? 0) && seq < (before ?? Infinity));
  const page = after === undefined ? found.slice(-limit) : found.slice(0, limit);
  const [oldest, newest] = [page[0]?.seq ?? null, page.at(-1)?.seq ?? null];
  const more = found.length > limit;
  return `{"messages":[${page.map(messageJson).join(',')}],"before":${oldest},"after":${newest},"more":${more},"rev":77,"epoch":"e"}`;
}

interface Question {
  readonly before?: number;
  readonly after?: number;
  readonly limit: number;
}

const cases: Question[] = [
  { limit: 1 },
  { limit: 20 },
  { limit: 38 },
  { limit: 37 },
  { limit: 100 },
  ...[1, 3, 4, 24, 41, 1000].map((before) => ({ before, limit: 20 })),
  ...[0, 2, 19, 20, 21, 39, 40, 1000].map((after) => ({ after, limit: 20 })),
];

it.each(cases)('the page %j is that of the rows, byte for byte', async (question) => {
  for (const room of ['changed', 'other']) {
    expect((await history(sql, 'ann', { room, ...question }, 'e')).json).toBe(await expected(room, question));
  }
});

it('pages that are read together are those that are read alone, each with its own refusal', async () => {
  const rooms = ['changed', 'foreign', 'nowhere', 'other', 'hidden', 'empty'];
  const questions = rooms.flatMap((room) => cases.map((question) => ({ input: { room, ...question }, epoch: 'e' })));
  const alone = await Promise.all(
    questions.map(({ input, epoch }) => history(sql, 'ann', input, epoch).catch((error: unknown) => error as Error)),
  );
  const together = await pagesOf(sql, 'ann', questions);
  const texts = (pages: typeof together): string[] =>
    pages.map((page) => (page instanceof Error ? page.message : page.json));
  expect(texts(together)).toEqual(texts(alone));
  const codeOf = (room: string): unknown => together[rooms.indexOf(room) * cases.length];
  expect(['foreign', 'nowhere', 'hidden'].map(codeOf)).toMatchObject([
    { code: 'not_member' },
    { code: 'not_found' },
    { code: 'not_found' },
  ]);
});

it('a place of another epoch gives no messages and `reset`', async () => {
  const page = await history(sql, 'ann', { room: 'other', after: 5, limit: 20, epoch: 'old' }, 'e');
  expect(JSON.parse(page.json)).toEqual({
    messages: [],
    before: null,
    after: null,
    more: false,
    rev: 77,
    epoch: 'e',
    reset: true,
  });
});
