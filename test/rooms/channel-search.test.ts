import { beforeAll, describe, expect, it } from 'vitest';
import { limits } from '../../src/protocol/limits.ts';
import { stage } from '../stage.ts';

const { server, people } = await stage({ people: ['ann', 'ben'] });
const { ann, ben } = people;

beforeAll(async () => {
  for (const [id, name, topic] of [
    ['a', 'Release notes', 'What is new in node.js'],
    ['b', 'release: planning', undefined],
    ['c', 'Garden Café', 'Kräuter und Blumen'],
    ['d', 'Notes to self', undefined],
    ['e', '日本語 の 部屋', undefined],
    ['f', "It's 100% \\ quoted", undefined],
  ] as const) {
    await ann.ok('room:create', { kind: 'channel', name, id });
    if (topic !== undefined) await ann.ok('room:update', { room: id, topic });
  }
  await ann.ok('room:create', { kind: 'group', name: 'Release secrets', id: 'hidden' });
  await ann.ok('room:create', { kind: 'channel', name: 'Release of old', id: 'old' });
  await ann.ok('room:archive', { room: 'old' });
  await ben.ok('room:join', { room: 'd' });
});

describe('the search for channels', () => {
  it.each([
    ['release', ['a', 'b']],
    ['REL', ['a', 'b']],
    ['rel plan', ['b']],
    ['notes', ['d', 'a']],
    ['node', ['a']],
    ['js', ['a']],
    ['node.js', ['a']],
    ['café', ['c']],
    ['kräut', ['c']],
    ['日本', ['e']],
    ["it's", ['f']],
    ["' \\ ' | & !", []],
    ["100% :* \\'", ['f']],
    ['elease', []],
    ['nothing of the kind', []],
  ])('%s', async (query, ids) => {
    const { rooms, more } = await ben.ok('room:search', { query });
    // in the order of names
    expect([rooms.map(({ id }) => id).sort(), more]).toEqual([[...ids].sort(), false]);
  });

  it('returns the own role and the number of members', async () => {
    const { rooms } = await ben.ok('room:search', { query: 'notes' });
    expect(rooms).toMatchObject([
      { id: 'd', role: 'member', members: 2 },
      { id: 'a', role: null, topic: 'What is new in node.js', members: 1 },
    ]);
  });

  it('comes page by page', async () => {
    for (let n = 0; n < 5; n++)
      await ann.ok('room:create', { kind: 'channel', name: n < 3 ? 'Page' : 'page two', id: `page-${n}` });
    const ids: string[] = [];
    let after: string | undefined;
    for (let pages = 0; pages < 3; pages++) {
      const page = await ben.ok('room:search', { query: 'page', limit: 2, ...(after === undefined ? {} : { after }) });
      ids.push(...page.rooms.map(({ id }) => id));
      expect(page.more).toBe(pages < 2);
      after = page.after ?? '';
    }
    expect(ids).toEqual(['page-0', 'page-1', 'page-2', 'page-3', 'page-4']);
  });

  it('takes no cursor but its own, and a query within its limit', async () => {
    for (const after of [
      '',
      'x',
      Buffer.from('["a"]').toString('base64url'),
      Buffer.from('["\\u0000","a"]').toString('base64url'),
    ]) {
      expect([after, (await ben.error('room:search', { query: 'x', after })).code]).toEqual([after, 'invalid']);
    }
    const word = 'x'.repeat(limits.searchLength);
    await ben.ok('room:search', { query: word });
    expect(await ben.error('room:search', { query: `${word}x` })).toMatchObject({ code: 'invalid' });
    const words = `notes to self${' notes'.repeat(limits.searchWords - 3)}`;
    expect((await ben.ok('room:search', { query: words })).rooms).toHaveLength(1);
    for (const query of [`${words} notes`, 'a’b’c’d’e’f’g’h’i', '日'.repeat(34)]) {
      expect(await ben.error('room:search', { query })).toMatchObject({
        code: 'invalid',
        message: 'query: at most 8 words and operators.',
      });
    }
  });

  it('goes by the index of words', async () => {
    const { sql } = server.database;
    await sql`
      insert into rooms (id, kind, name, created_by, member_count)
      select 'word-' || n, 'channel', 'word' || n, 'somebody', 1 from generate_series(1, 5000) n`;
    await sql`analyze rooms`;
    const plan = await sql<{ 'QUERY PLAN': string }[]>`
      explain select id from rooms r where r.kind = 'channel' and r.archived_at is null
        and room_words(r.name, r.topic) @@ to_tsquery('simple', '''word42'':*')`;
    expect(plan.map((row) => row['QUERY PLAN']).join('\n')).toContain('rooms_by_words');
    expect((await ben.ok('room:search', { query: 'word42', limit: 100 })).rooms).toHaveLength(100);
    expect((await ben.ok('room:search', { query: 'word4200' })).rooms).toHaveLength(1);
  });
});

it('members are listed by role, page by page', async () => {
  const room = 'crowd';
  await ann.ok('room:create', { kind: 'group', name: 'Crowd', id: room });
  for (const [user, role] of [
    ['zed', 'admin'],
    ['abe', 'admin'],
    ['kim', 'admin'],
    ['gus', 'guest'],
    ['max', 'member'],
  ] as const) {
    await ann.ok('room:invite', { room, user, role });
  }
  const first = await ann.ok('room:members', { room, role: 'admin', limit: 2 });
  expect(first).toMatchObject({ members: [{ user: 'abe' }, { user: 'kim' }], after: 'kim', more: true });
  const second = await ann.ok('room:members', { room, role: 'admin', limit: 2, after: 'kim' });
  expect(second).toMatchObject({ members: [{ user: 'zed' }], more: false });
  expect((await ann.ok('room:members', { room, role: 'owner' })).members).toMatchObject([{ user: 'ann' }]);
  expect((await ann.ok('room:members', { room, role: 'member' })).members).toMatchObject([{ user: 'max' }]);
});

it('a channel is seen from outside, a group is not', async () => {
  expect((await ben.ok('room:get', { room: 'c' })).room).toMatchObject({ id: 'c', role: null, members: 1 });
  expect(await ben.error('room:get', { room: 'hidden' })).toMatchObject({ code: 'not_found' });
});
