import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { forgetUser, type ForgetProgress } from '../../src/retention/forget-user.ts';
import type { Message } from '../../src/protocol/model.ts';
import { whenApplied } from '../../src/storage/confirmations.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectError, connectStock, text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

let server: TestServer;
let ann: StockClient;
beforeAll(async () => {
  server = await startServer({ PARLEY_COMMAND_BURST: '100000' });
  ann = await connectStock(server.url, await tokenOf('ann', { name: 'Ann' }));
});
afterAll(async () => {
  ann.close();
  await server.stop();
});

/** A room of both, in which each has written, edited and reacted; ann's view of it by sync. */
async function conversation(room: string, ben: StockClient): Promise<void> {
  await ben.ok('room:create', { kind: 'group', name: room, id: room });
  await ben.ok('room:invite', { room, user: 'ann', role: 'admin' });
  for (let n = 1; n <= 3; n++) {
    await ben.ok('message:send', text(room, { text: `ben ${n}` }));
    await ann.ok('message:send', text(room, { text: `ann ${n}` }));
  }
  await ben.ok('message:edit', { room, seq: 1, body: { text: 'edited by ben' } });
  await ann.ok('message:edit', { room, seq: 2, body: { text: 'edited by ann' } });
  await ben.ok('message:edit', { room, seq: 2, body: { text: 'ann, edited by ben' } });
  await ben.ok('reaction:add', { room, seq: 4, emoji: '👍' });
  await ann.ok('reaction:add', { room, seq: 4, emoji: '👍' });
  await ben.ok('reaction:add', { room, seq: 6, emoji: '🎉' });
  await ann.ok('reaction:add', { room, seq: 3, emoji: '❤️' });
}

/** The rows that name the user beside the messages. */
async function dealings(room: string, ben: StockClient): Promise<void> {
  await ann.ok('message:pin', { room, seq: 2 });
  await ben.ok('message:pin', { room, seq: 4 });
  await ann.ok('message:pin', { room, seq: 5 });
  await ben.ok('link:create', { room });
  await ben.ok('invitation:create', { room, user: 'carl' });
  await ben.ok('room:ban', { room, user: 'dora' });
  await ben.ok('room:create', { kind: 'group', name: 'gone', id: `${room}-gone` });
  await ben.ok('room:delete', { room: `${room}-gone` });
}

async function pull(held: Map<number, Message>, room: string, from: number): Promise<number> {
  const { rooms } = await ann.ok('sync', { cursors: { [room]: from } });
  for (const message of rooms[room]?.messages ?? []) held.set(message.seq, message);
  return rooms[room]?.rev ?? 0;
}

/** Every column of every table that names the user, besides the revoked tokens. */
async function tracesOf(user: string): Promise<string[]> {
  const { sql } = server.database;
  const columns = await sql<{ name: string; field: string }[]>`
    select table_name as name, column_name as field from information_schema.columns
    where table_schema = 'public' and table_name not in ('revocations', 'membership_changes', 'schema_migrations', 'schema_functions')`;
  const found: string[] = [];
  for (const { name, field } of columns) {
    const rows = await sql`select from ${sql(name)} where ${sql(field)}::text like ${`%${user}%`} limit 1`;
    if (rows.length > 0) found.push(`${name}.${field}`);
  }
  return found;
}

describe('a user who is forgotten', () => {
  it('leaves no name, no membership, no text and no reaction, and clients come to the same', async () => {
    const token = await tokenOf('benjamin', { name: 'Benjamin' });
    const ben = await connectStock(server.url, token);
    const { sql } = server.database;
    // a private address, so that every call is refused and the deliveries stay
    await sql`
      insert into webhooks (id, url, events, rooms, format, ordered, secret)
      values (gen_random_uuid(), 'https://127.0.0.1:1/', '{message.created,message.updated,message.deleted}', '{*}', 'standard', false, 'x')`;
    await conversation('talk', ben);
    await dealings('talk', ben);
    await until('the deliveries have messages of the user', async () =>
      (await tracesOf('benjamin')).includes('webhook_deliveries.body'),
    );
    const { room: direct } = await ben.ok('room:create', { kind: 'direct', user: 'ann' });
    await ben.ok('message:send', text(direct.id, { text: 'in private' }));
    await sql`insert into blocks (user_id, blocked_id) values ('benjamin', 'troll'), ('troll', 'benjamin')`;
    await sql`insert into invitation_rests (room_id, user_id, declined, rests_until) values ('talk', 'benjamin', true, 'infinity')`;
    await sql`insert into slow_edits (room_id, user_id, at) values ('talk', 'benjamin', now())`;
    await sql`insert into deleted_rooms (id, deleted_by, made_by) values ('of-benj', 'benjamin', 'benjamin')`;
    const held = new Map<number, Message>();
    const cursor = await pull(held, 'talk', 0);
    const received = ann.events.length;

    const done = await forgetUser(server.database.sql, 'benjamin', {
      keepMessages: false,
      applied: whenApplied(server.database.sql),
    });
    expect(done).toMatchObject({ known: true, rooms: 2, messages: 4, reactions: 2 });
    expect(done.pseudonym).toMatch(/^forgotten-[0-9a-f]{16}$/);
    await until('the session is closed', () => !ben.socket.connected);
    expect((await connectError(server.url, { token })).data).toMatchObject({ code: 'unauthorized' });
    await until('nothing names them', async () => (await tracesOf('benjamin')).length === 0);
    const others = await sql`select from webhook_deliveries where position('"from":"ann"' in body) > 0 limit 1`;
    expect(others).toHaveLength(1);

    const { messages, rev } = await ann.ok('history', { room: 'talk' });
    // the outbox brings the change to the node, which then no longer answers from its memory
    let reached = cursor;
    await until('sync knows', async () => (reached = await pull(held, 'talk', reached)) === rev);
    expect([...held.values()].sort((a, b) => a.seq - b.seq)).toEqual(messages);
    expect(messages.map(({ from, name, body }) => [from, name, body])).toEqual([
      [done.pseudonym, null, null],
      ['ann', 'Ann', { text: 'ann, edited by ben' }],
      [done.pseudonym, null, null],
      ['ann', 'Ann', { text: 'ann 2' }],
      [done.pseudonym, null, null],
      ['ann', 'Ann', { text: 'ann 3' }],
    ]);
    // pins of the user stay, and a pinned message of the user takes no place among the pins
    const { messages: pins } = await ann.ok('room:pins', { room: 'talk' });
    expect(pins.map(({ seq, pinnedBy }) => [seq, pinnedBy])).toEqual([
      [4, done.pseudonym],
      [2, 'ann'],
    ]);
    expect(
      [...held.values()].flatMap(({ seq, pinnedBy = null }) => (pinnedBy === null ? [] : [[seq, pinnedBy]])),
    ).toEqual([
      [2, 'ann'],
      [4, done.pseudonym],
    ]);
    expect(messages[3]?.reactions).toEqual([{ emoji: '👍', count: 1, mine: true }]);
    expect(messages[5]?.reactions).toBeUndefined();
    expect(messages.every(({ from, deletedAt }) => (from === 'ann') === (deletedAt === undefined))).toBe(true);
    const { versions } = await ann.ok('message:versions', { room: 'talk', seq: 2 });
    expect(versions.map(({ by }) => by)).toEqual([done.pseudonym, 'ann']);
    expect((await ann.ok('message:versions', { room: 'talk', seq: 1 })).versions).toEqual([]);
    const { rooms } = await ann.ok('room:list', {});
    expect(rooms.find(({ id }) => id === 'talk')?.role).toBe('owner');
    expect((await ann.ok('history', { room: direct.id })).messages).toMatchObject([{ body: null }]);
    // published from the outbox, since this was done beside the server
    await until('the room gets the event', () => ann.events.slice(received).some(({ name }) => name === 'behind'));
  }, 60_000);

  it('may leave the messages, under a pseudonym that is another one each time', async () => {
    const ben = await connectStock(server.url, await tokenOf('bernhard', { name: 'Bernhard' }));
    await conversation('kept', ben);
    const done = await forgetUser(server.database.sql, 'bernhard', {
      keepMessages: true,
      applied: whenApplied(server.database.sql),
    });
    const { messages } = await ann.ok('history', { room: 'kept' });
    expect(messages.filter(({ from }) => from === done.pseudonym).map(({ body }) => body)).toEqual([
      { text: 'edited by ben' },
      { text: 'ben 2' },
      { text: 'ben 3' },
    ]);
    expect(await tracesOf('bernhard')).toEqual([]);
    const again = await forgetUser(server.database.sql, 'bernhard', {
      keepMessages: true,
      applied: whenApplied(server.database.sql),
    });
    expect(again).toMatchObject({ known: false, rooms: 0, messages: 0, reactions: 0 });
    expect(again.pseudonym).not.toBe(done.pseudonym);
    ben.close();
  });

  it('is forgotten where the user only pinned a message, with a rev, so that clients get the change', async () => {
    const ben = await connectStock(server.url, await tokenOf('bartholomew'));
    await ann.ok('room:create', { kind: 'group', name: 'pinned', id: 'pinned' });
    await ann.ok('room:invite', { room: 'pinned', user: 'bartholomew', role: 'admin' });
    await ann.ok('message:send', text('pinned', { text: 'to be pinned' }));
    const { rev } = await ben.ok('message:pin', { room: 'pinned', seq: 1 });
    const held = new Map<number, Message>();
    expect(await pull(held, 'pinned', 0)).toBe(rev);
    const done = await forgetUser(server.database.sql, 'bartholomew', {
      keepMessages: false,
      applied: whenApplied(server.database.sql),
    });
    await until('sync knows', async () => (await pull(held, 'pinned', rev)) === rev + 1);
    expect(held.get(1)).toMatchObject({ rev: rev + 1, pinnedBy: done.pseudonym });
    expect(await tracesOf('bartholomew')).toEqual([]);
    ben.close();
  });

  it('is forgotten as the one who called everybody in the message of another', async () => {
    const ben = await connectStock(server.url, await tokenOf('barnabas'));
    await ann.ok('room:create', { kind: 'group', name: 'called', id: 'called' });
    await ann.ok('room:invite', { room: 'called', user: 'barnabas', role: 'admin' });
    await ann.ok('message:send', text('called', { text: 'of ann' }));
    await ben.ok('message:edit', { room: 'called', seq: 1, body: { text: '@room of ann' } });
    expect(await tracesOf('barnabas')).toContain('mentions.called_by');
    await forgetUser(server.database.sql, 'barnabas', {
      keepMessages: false,
      applied: whenApplied(server.database.sql),
    });
    expect(await tracesOf('barnabas')).toEqual([]);
    ben.close();
  });

  it('is forgotten in batches, and every change has a separate rev', async () => {
    const { sql } = server.database;
    await sql`insert into users (id) values ('busybody')`;
    await sql`insert into rooms (id, kind, created_by, last_seq, last_rev) values ('batches', 'channel', 'busybody', 25000, 25000)`;
    await sql`
      insert into messages (room_id, seq, id, rev, sender_id, body, created_at)
      select 'batches', n, gen_random_uuid(), n, case when n % 20 = 0 then 'busybody' else 'ann' end, '"x"'::jsonb, now()
      from generate_series(1, 25000) n`;
    await sql`insert into reactions select 'batches', n, 'busybody', '👍', now() from generate_series(1, 401) n`;
    await sql`insert into reaction_counts select 'batches', n, '👍', 1, n from generate_series(1, 401) n`;
    const done = await forgetUser(sql, 'busybody', { keepMessages: false, applied: whenApplied(sql) });
    // reactions to their own messages went with those
    expect(done).toMatchObject({ messages: 1250, reactions: 381 });
    const [state] = await sql`
      select count(*) as messages, count(distinct rev) as revs, max(rev) as top, count(*) filter (where body is null) as gone
      from messages where room_id = 'batches'`;
    expect(state).toEqual({ messages: 25_000, revs: 25_000, top: 25_000 + 1250 + 381, gone: 1250 });
    expect(await sql`select last_rev as rev from rooms where id = 'batches'`).toEqual([{ rev: 26_631 }]);
  });

  it('goes on behind the stored steps of an earlier run, under the same pseudonym and with the same counts', async () => {
    const { sql } = server.database;
    const bob = await connectStock(server.url, await tokenOf('bobby'));
    await bob.ok('room:create', { kind: 'group', name: 'long', id: 'long' });
    const sends = Array.from({ length: 450 }, (_, n) => bob.ok('message:send', text('long', { text: `bobby ${n}` })));
    await Promise.all(sends);
    bob.close();
    let from: ForgetProgress | undefined;
    const options = { keepMessages: true, applied: whenApplied(sql) };
    const broken = forgetUser(sql, 'bobby', {
      ...options,
      saving: (_, progress) => {
        if (progress.messages === 400) return Promise.reject(new Error('The node stops.'));
        from = progress;
        return Promise.resolve();
      },
    });
    await expect(broken).rejects.toThrow('The node stops.');
    expect(from).toMatchObject({ rooms: 1, messages: 200 });
    const done = await forgetUser(sql, 'bobby', { ...options, ...(from === undefined ? {} : { from }) });
    expect(done).toMatchObject({ pseudonym: from?.pseudonym, known: true, rooms: 1, messages: 450 });
    const senders = await sql`select sender_id, count(*) from messages where room_id = 'long' group by sender_id`;
    expect(senders).toEqual([{ sender_id: done.pseudonym, count: 450 }]);
  });
});
