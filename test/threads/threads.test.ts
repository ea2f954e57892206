import { describe, expect, it } from 'vitest';
import { limits } from '../../src/protocol/limits.ts';
import type { Message } from '../../src/protocol/model.ts';
import { cast, stage as openStage } from '../stage.ts';
import { until } from '../support/until.ts';

const stage = await openStage({ people: cast });
const { people, say } = stage;

async function stored(room: string, seq: number): Promise<Message | undefined> {
  const { messages } = await people.ben.ok('history', { room, after: seq - 1, limit: 1 });
  return messages[0];
}

async function repliesOf(room: string, root: number): Promise<number[]> {
  return (await people.ben.ok('thread:history', { room, root })).messages.map(({ seq }) => seq);
}

/** The threads that a user follows in a room: root, mark, unread. */
const list = async (who: 'ann' | 'ben' | 'guest' | 'admin', room: string) => {
  const { threads } = await people[who].ok('thread:list', { limit: 100 });
  return threads.filter((one) => one.room === room).map(({ thread, read, unread }) => [thread.root, read, unread]);
};

describe('replies', () => {
  it('belong to the thread of the root, however deep, and say where it stands', async () => {
    const room = await stage.room();
    const root = await say('ann', room, 'a question');
    const other = await say('ann', room, 'another');
    const first = await say('ben', room, 'an answer', { replyTo: root });
    const deeper = await say('admin', room, 'to the answer', { replyTo: first });
    await say('ben', room, 'elsewhere', { replyTo: other });
    const last = await say('ben', room, 'again', { replyTo: deeper });
    const received = await people.owner.event('message', (data) => data.room === room && data.seq === last);
    const thread = { root, replies: 3, lastReplyAt: received.at, repliers: ['ben', 'admin'], rev: last };
    expect(received).toMatchObject({ replyTo: deeper, thread });
    expect((await stored(room, root))?.thread).toEqual(thread);
    expect((await stored(room, first))?.thread).toEqual(thread);
    expect((await stored(room, other))?.thread).toMatchObject({ root: other, replies: 1 });
    expect(await repliesOf(room, root)).toEqual([first, deeper, last]);
    // the root has not changed: who holds it learns by its replies
    const { rooms } = await people.guest.ok('sync', { cursors: { [room]: deeper } });
    expect(rooms[room]?.messages.map(({ seq, thread: state }) => [seq, state?.root, state?.replies])).toEqual([
      [5, other, 1],
      [6, root, 3],
    ]);
  });

  it('of one batch say all where it ends', async () => {
    const room = await stage.room();
    const root = await say('ann', room, 'q');
    const seqs = await Promise.all(
      ['ann', 'ben', 'ann', 'owner'].map((who) => say(who as 'ann', room, who, { replyTo: root })),
    );
    const state = (await stored(room, root))?.thread;
    expect(state).toMatchObject({ root, replies: 4, rev: Math.max(...seqs) });
    expect(new Set(state?.repliers)).toEqual(new Set(['ann', 'ben', 'owner']));
    await people.ben.event('message', ({ room: of, seq }) => of === room && seq === Math.max(...seqs));
    const states = people.ben.received('message').filter((data) => data.room === room && data.thread !== undefined);
    expect(states.at(-1)?.thread).toEqual(state);
  });

  it('name five who answered, the last ones first', async () => {
    const room = await stage.room('channel');
    const root = await say('ann', room, 'q');
    await people.stranger.ok('room:join', { room });
    for (const who of ['ann', 'ben', 'admin', 'owner', 'stranger', 'ben'] as const)
      await say(who, room, who, { replyTo: root });
    expect((await stored(room, root))?.thread?.repliers).toEqual(['ben', 'stranger', 'owner', 'admin', 'ann']);
    await people.owner.ok('room:role', { room, user: 'guest', role: 'member' });
    await say('guest', room, 'guest', { replyTo: root });
    expect((await stored(room, root))?.thread?.repliers).toEqual(['guest', 'ben', 'stranger', 'owner', 'admin']);
    await people.stranger.ok('room:leave', { room });
  });

  it('that are deleted do not count, and edits keep the thread', async () => {
    const room = await stage.room();
    const root = await say('ann', room, 'q');
    const first = await say('ben', room, '1', { replyTo: root });
    const second = await say('ben', room, '2', { replyTo: first });
    const { rev } = await people.ben.ok('message:delete', { room, seq: second });
    const deleted = await people.ann.event('message:deleted', (data) => data.room === room);
    expect(deleted.thread).toMatchObject({ root, replies: 1, rev });
    expect((await stored(room, root))?.thread).toEqual(deleted.thread);
    expect(await repliesOf(room, root)).toEqual([first, second]);
    await people.ann.ok('message:edit', { room, seq: root, body: { text: 'question' } });
    const edited = await people.ben.event('message:updated', (data) => data.room === room);
    expect(edited).toMatchObject({ seq: root, thread: deleted.thread });
    expect(await stored(room, root)).toEqual(edited);
    await people.ann.ok('message:delete', { room, seq: root });
    expect(await people.ben.ok('thread:history', { room, root })).toMatchObject({
      root: { seq: root, body: null, thread: { replies: 1 } },
      messages: [{ seq: first }, { seq: second, body: null }],
    });
  });

  it('sent again count once, and have the present state of the thread', async () => {
    const room = await stage.room();
    const root = await say('ann', room, 'q');
    const send = { room, id: crypto.randomUUID(), body: { text: '@ann' }, replyTo: root };
    const sent = await people.ben.ok('message:send', send);
    expect(await people.ben.ok('message:send', send)).toEqual(sent);
    expect(await Promise.all([people.ben.ok('message:send', send), people.ben.ok('message:send', send)])).toEqual([
      sent,
      sent,
    ]);
    expect((await stored(room, root))?.thread?.replies).toBe(1);
    await say('ben', room, 'later');
    await people.ann.event('message', (data) => data.room === room && data.seq === 3);
    expect(people.ann.received('mention').filter((data) => data.room === room)).toHaveLength(1);
  });

  it('need somebody to answer', async () => {
    const room = await stage.room();
    const send = { room, id: crypto.randomUUID(), body: 'x', replyTo: 1 };
    expect(await people.ann.error('message:send', send)).toMatchObject({ code: 'not_found' });
  });

  it('leave plain messages as they are', async () => {
    const room = await stage.room();
    await say('ann', room, 'plain');
    expect(await stored(room, 1)).not.toHaveProperty('thread');
  });
});

describe('thread:history', () => {
  it('pages both ways, by the seq of any message of the thread', async () => {
    const room = await stage.room();
    const root = await say('ann', room, 'q');
    const seqs: number[] = [];
    for (let n = 0; n < 7; n++) {
      seqs.push(await say('ben', room, String(n), { replyTo: seqs.at(-1) ?? root }));
      await say('ben', room, 'between');
    }
    const page = (input: object) => people.guest.ok('thread:history', { room, root: seqs[3] ?? 0, limit: 3, ...input });
    const newest = await page({});
    expect(newest.root).toMatchObject({ seq: root, thread: { replies: 7 } });
    expect(newest.messages.map(({ seq }) => seq)).toEqual(seqs.slice(4));
    expect(newest).toMatchObject({ before: seqs[4], after: seqs[6], more: true, rev: 15 });
    const middle = await page({ before: newest.before });
    expect(middle.messages.map(({ seq }) => seq)).toEqual(seqs.slice(1, 4));
    const oldest = await page({ before: middle.before });
    expect(oldest).toMatchObject({ messages: [{ seq: seqs[0] }], more: false });
    const on = await page({ after: 0 });
    expect(on.messages.map(({ seq }) => seq)).toEqual(seqs.slice(0, 3));
    expect(on.more).toBe(true);
    expect((await page({ after: seqs[3] })).messages.map(({ seq }) => seq)).toEqual(seqs.slice(4));
    expect(await page({ after: seqs[6] })).toMatchObject({ messages: [], before: null, after: null, more: false });
  });

  it('is empty for a message that nobody answered, and for members only', async () => {
    const room = await stage.room();
    await say('ann', room, 'q');
    expect(await people.ben.ok('thread:history', { room, root: 1 })).toMatchObject({ root: { seq: 1 }, messages: [] });
    expect(await people.ben.error('thread:history', { room, root: 2 })).toMatchObject({ code: 'not_found' });
    expect(await people.stranger.error('thread:history', { room, root: 1 })).toMatchObject({ code: 'not_found' });
    const both = { room, root: 1, before: 5, after: 1 };
    expect(await people.ben.error('thread:history', both)).toMatchObject({ code: 'invalid' });
    expect(await people.ben.error('thread:history', { room, root: 1, limit: limits.pageSize + 1 })).toMatchObject({
      code: 'invalid',
    });
  });
});

describe('following', () => {
  it('begins with an answer, for its author and that of the root; what is unread is counted', async () => {
    const room = await stage.room();
    const root = await say('ann', room, 'q');
    const first = await say('ben', room, '1', { replyTo: root });
    await say('ben', room, '2', { replyTo: root });
    expect(await list('ann', room)).toEqual([[root, root, 2]]);
    expect(await list('ben', room)).toEqual([[root, 3, 0]]);
    expect(await list('guest', room)).toEqual([]);
    expect(await people.ann.ok('thread:read', { room, root: first, seq: 2 })).toEqual({ root, read: 2 });
    expect(await list('ann', room)).toEqual([[root, 2, 1]]);
    // never back, never past the room's end
    expect(await people.ann.ok('thread:read', { room, root, seq: 1 })).toEqual({ root, read: 2 });
    expect(await people.ann.ok('thread:read', { room, root, seq: 99 })).toEqual({ root, read: 3 });
    await say('ben', room, '3', { replyTo: root });
    await people.ben.ok('message:delete', { room, seq: 4 });
    expect(await list('ann', room)).toEqual([[root, 3, 0]]);
  });

  it('ends and begins again as one says, and by answering', async () => {
    const room = await stage.room();
    const root = await say('ann', room, 'q');
    const first = await say('ben', room, '1', { replyTo: root });
    expect(await people.ann.ok('thread:unfollow', { room, root: first })).toEqual({ root });
    expect(await people.ann.ok('thread:unfollow', { room, root })).toEqual({ root });
    expect(await people.ann.event('thread', (data) => data.room === room)).toEqual({
      room,
      root,
      following: false,
      read: 0,
    });
    await say('ben', room, '2', { replyTo: root });
    expect(await list('ann', room)).toEqual([]);
    expect(await people.ann.error('thread:read', { room, root, seq: 3 })).toMatchObject({ code: 'not_found' });
    expect(await people.guest.ok('thread:follow', { room, root: first })).toEqual({ root, read: 3 });
    expect(await people.guest.ok('thread:follow', { room, root })).toEqual({ root, read: 3 });
    await say('ann', room, '3', { replyTo: first });
    expect(await list('ann', room)).toEqual([[root, 4, 0]]);
    expect(await list('guest', room)).toEqual([[root, 3, 1]]);
    for (const name of ['thread:follow', 'thread:unfollow', 'thread:read']) {
      expect(await people.stranger.error(name, { room, root, seq: 1 })).toMatchObject({ code: 'not_found' });
      expect(await people.ann.error(name, { room, root: 9, seq: 1 })).toMatchObject({ code: 'not_found' });
    }
  });

  it('may begin before there are replies, and is listed when they come', async () => {
    const room = await stage.room();
    const root = await say('ann', room, 'q');
    await people.admin.ok('thread:follow', { room, root });
    expect(await list('admin', room)).toEqual([]);
    await say('ben', room, '1', { replyTo: root });
    expect(await list('admin', room)).toEqual([[root, root, 1]]);
  });

  it('is listed by the last reply, in pages, without the rooms one has left', async () => {
    const [one, two] = [await stage.room('channel'), await stage.room('channel')];
    const heads: [string, number][] = [];
    for (const room of [one, two, one, two, two]) heads.push([room, await say('owner', room, 'q')]);
    for (const [room, root] of heads) await say('owner', room, 'a', { replyTo: root });
    const keys = async () => {
      const found: string[] = [];
      for (let before: string | undefined; ;) {
        const page = await people.owner.ok('thread:list', { limit: 2, ...(before === undefined ? {} : { before }) });
        found.push(...page.threads.map(({ room, thread }) => `${room} ${thread.root}`));
        if (!page.more || page.before === null)
          return found.filter((key) => [one, two].includes(key.split(' ')[0] ?? ''));
        ({ before } = page);
      }
    };
    const expected = heads.map(([room, root]) => `${room} ${root}`).toReversed();
    // two of one millisecond stand in the order of room and number
    expect((await keys()).toSorted()).toEqual(expected.toSorted());
    await say('admin', one, 'last', { replyTo: heads[0]?.[1] ?? 0 });
    expect((await keys())[0]).toBe(expected.at(-1));
    await people.owner.ok('room:leave', { room: two });
    expect((await keys()).every((key) => key.startsWith(one))).toBe(true);
    expect(await people.owner.error('thread:list', { before: 'nonsense' })).toMatchObject({ code: 'invalid' });
  });

  it('counts unread replies up to the limit', async () => {
    const room = await stage.room();
    const root = await say('ann', room, 'q');
    await Promise.all(Array.from({ length: limits.threadUnread }, () => say('ben', room, 'a', { replyTo: root })));
    expect(await list('ann', room)).toEqual([[root, root, limits.threadUnread]]);
    await say('ben', room, 'one more', { replyTo: root });
    expect(await list('ann', room)).toEqual([[root, root, limits.threadUnread]]);
  });

  it('of more threads than the limit lets those go that were followed longest', async () => {
    const { sql } = stage.server.database;
    const room = await stage.room();
    const root = await say('ann', room, 'q');
    await people.admin.ok('thread:list', {});
    await sql`
      insert into thread_follows (room_id, root, user_id, read_seq, followed_at)
      select 'elsewhere', n, 'admin', 0, now() - n * interval '1 hour' from generate_series(1, ${limits.followedThreads}::int) n
      on conflict do nothing`;
    const followed = async () => {
      const [row] = await sql<{ n: number; oldest: number }[]>`
        select count(*)::int as n, max(root) filter (where room_id = 'elsewhere') as oldest
        from thread_follows where user_id = 'admin'`;
      return row;
    };
    await people.admin.ok('thread:follow', { room, root });
    const after = await followed();
    expect(after?.n).toBe(limits.followedThreads);
    const second = await say('ann', room, 'q');
    await say('admin', room, 'an answer', { replyTo: second });
    expect(await followed()).toEqual({ n: limits.followedThreads, oldest: (after?.oldest ?? 0) - 1 });
  });

  it('sends the change to the other devices', async () => {
    const room = await stage.room();
    const root = await say('ann', room, 'q');
    await people.guest.ok('thread:follow', { room, root });
    await say('ben', room, 'a', { replyTo: root });
    await people.guest.ok('thread:read', { room, root, seq: 2 });
    const received = await until('both have the event', () => {
      const found = people.guest.received('thread').filter((data) => data.room === room);
      return found.length === 2 ? found : undefined;
    });
    expect(received).toEqual([
      { room, root, following: true, read: 1 },
      { room, root, following: true, read: 2 },
    ]);
  });
});

it('threads of messages that came in another way are found afterwards', async () => {
  const { sql } = stage.server.database;
  const room = await stage.room();
  const root = await say('ann', room, 'q');
  const first = await say('ben', room, '1', { replyTo: root });
  await say('ann', room, 'plain');
  const deeper = await say('admin', room, '2', { replyTo: first });
  await people.ben.ok('message:delete', { room, seq: first });
  const before = await people.ben.ok('history', { room });
  // as they were before there were threads
  await sql.begin(async (tx) => {
    await tx`create temporary table held on commit drop as select * from messages where room_id = ${room}`;
    for (const table of ['messages', 'threads', 'thread_follows'])
      await tx`delete from ${tx(table)} where room_id = ${room}`;
    await tx`update held set thread = null`;
    await tx`insert into messages select * from held order by seq`;
    await tx`select recount_threads(${room}, true)`;
  });
  expect(await people.ben.ok('history', { room })).toMatchObject({
    messages: before.messages.map(({ thread, ...rest }) => ({
      ...rest,
      ...(thread === undefined ? {} : { thread: { ...thread, rev: expect.any(Number) as number } }),
    })),
  });
  expect(await repliesOf(room, root)).toEqual([first, deeper]);
  const rows = await sql<
    { user_id: string }[]
  >`select user_id from thread_follows where room_id = ${room} order by user_id`;
  expect(rows.map((row) => row.user_id)).toEqual(['admin', 'ann', 'ben']);
});

it('a reply whose root has expired is in the thread that begins there', async () => {
  const { sql } = stage.server.database;
  const room = await stage.room();
  const root = await say('ann', room, 'q');
  await say('ben', room, '1', { replyTo: root });
  await sql`select expire_messages(${room}, ${root + 1}, false)`;
  expect(await sql`select removed from delete_expired(${room}, 10)`).toEqual([{ removed: 1 }]);
  const second = await say('ben', room, '2', { replyTo: root });
  expect(await people.ann.ok('thread:history', { room, root })).toMatchObject({
    root: null,
    messages: [{ seq: 2 }, { seq: second, thread: { root, replies: 2 } }],
  });
  const { threads } = await people.ann.ok('thread:list', {});
  expect(threads.find((one) => one.room === room)).toMatchObject({ root: null, thread: { root }, unread: 2 });
});
