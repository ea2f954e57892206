import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { MemoryFanout } from '../../src/fanout/memory.ts';
import { Changes } from '../../src/messages/changes.ts';
import { mentions } from '../../src/messages/mentions.ts';
import { readBackfill, eventsBetween } from '../../src/recovery/backfill.ts';
import { pinned, Pins } from '../../src/messages/pins.ts';
import { Retention } from '../../src/retention/retention.ts';
import { sync } from '../../src/recovery/catch-up.ts';
import { Threads } from '../../src/threads/threads.ts';
import type { Envelope } from '../../src/fanout/fanout.ts';
import type { CommandOutput } from '../../src/protocol/commands.ts';
import type { Message } from '../../src/protocol/model.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createWriter, makeRoom, send, silentLog, type TestWriter } from '../support/messaging.ts';
import { startServer, tokenOf, type TestServer } from '../support/server.ts';
import { connectStock, text, type StockClient } from '../support/stock-client.ts';
import { until } from '../support/until.ts';

const day = 86_400_000;

describe('a round', () => {
  let database: TestDatabase;
  let test: TestWriter;
  const received: Envelope[] = [];
  beforeAll(async () => {
    database = await createTestDatabase();
    test = createWriter(database.sql);
  });
  afterAll(async () => {
    await test.writer.stop();
    await database.drop();
  });

  /** Messages, the first of them so many days old, each a day younger. */
  async function roomOf(room: string, messages: number, oldestDays: number, retention: number | null): Promise<void> {
    const { sql } = database;
    await makeRoom(sql, room, 'ann', 'ben');
    await Promise.all(
      Array.from({ length: messages }, (_, n) => test.writer.send(send(room, 'ann', { text: `w${n}` }))),
    );
    await sql`update messages set created_at = now() + interval '1 hour' - (${oldestDays} - seq + 1) * interval '1 day'
      where room_id = ${room}`;
    await sql`update rooms set retention_days = ${retention} where id = ${room}`;
  }

  async function round(retentionDays?: number): Promise<Metrics> {
    const metrics = new Metrics();
    const fanout = new MemoryFanout((envelopes) => void received.push(...envelopes));
    // another node has the periodic task, so this one does nothing by itself
    await database.sql`insert into chores values ('retention', now() + interval '1 day') on conflict do nothing`;
    const { sql } = database;
    const retention = new Retention({
      sql,
      fanout,
      metrics,
      log: silentLog,
      writer: test.writer,
      retentionDays,
      retentionEveryMs: day,
    });
    await retention.run();
    await retention.stop();
    return metrics;
  }

  /** Holds rows as a node does that is deleting them, until `work` is done or waits for one of them. */
  async function whileDeleting(room: string, most: number, work: () => Promise<unknown>): Promise<void> {
    const { sql } = database;
    let done = false;
    let under: Promise<unknown> | undefined;
    await sql.begin(async (tx) => {
      const [held] = await tx<{ removed: number }[]>`select removed from delete_expired(${room}, ${most})`;
      expect(held).toEqual({ removed: most });
      under = work().finally(() => (done = true));
      await until('it is done, or waits', async () => {
        const waiting = await sql`
          select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
        return done || waiting.length > 0;
      });
    });
    await under;
  }

  const purgesOf = (room: string): number =>
    received.filter((e) => e.to === 'room' && e.room === room && e.event === 'room:purged').length;
  const changing = () => ({
    sql: database.sql,
    fanout: new MemoryFanout(() => undefined),
    metrics: new Metrics(),
    log: silentLog,
    writer: test.writer,
    maxWaiting: 100,
  });
  const seqs = async (room: string): Promise<number[]> => {
    const rows = await database.sql<{ seq: number }[]>`select seq from messages where room_id = ${room} order by seq`;
    return rows.map(({ seq }) => seq);
  };
  const pull = async (room: string, rev: number): Promise<CommandOutput<'sync'>['rooms'][string] | undefined> => {
    const input = { cursors: { [room]: rev }, limit: 500, bytes: 1024 * 1024 };
    const { rooms } = await sync(database.sql, 'ann', input);
    return (JSON.parse(`{${rooms.join(',')}}`) as CommandOutput<'sync'>['rooms'])[room];
  };

  it('lets go what is older than the room keeps, with what belongs to it, in one rev', async () => {
    const { sql } = database;
    await roomOf('kept', 10, 10, 4);
    await roomOf('forever', 3, 1000, null);
    for (const seq of [1, 9]) {
      await sql`insert into message_versions values ('kept', ${seq}, 1, '"x"'::jsonb, 'ann', now())`;
      await sql`insert into reactions values ('kept', ${seq}, 'ben', '👍', now())`;
      await sql`insert into reaction_counts values ('kept', ${seq}, '👍', 1, 1)`;
    }
    await sql`select * from index_messages(array['kept'], 'simple', 100)`;
    const metrics = await round();
    expect(await seqs('kept')).toEqual([7, 8, 9, 10]);
    expect(await seqs('forever')).toEqual([1, 2, 3]);
    for (const table of ['message_versions', 'reactions', 'reaction_counts']) {
      expect(await sql`select seq from ${sql(table)} where room_id = 'kept'`, table).toEqual([{ seq: 9 }]);
    }
    expect(
      (await sql`select seq from message_search where room_id = 'kept' order by seq`).map(({ seq }) => seq),
    ).toEqual([7, 8, 9, 10]);
    const [room] = await sql`select last_seq, last_rev, first_seq, purged_rev from rooms where id = 'kept'`;
    expect(room).toEqual({ last_seq: 10, last_rev: 11, first_seq: 7, purged_rev: 11 });
    expect(received.filter((e) => e.to === 'room' && e.room === 'kept')).toEqual([
      { to: 'room', room: 'kept', event: 'room:purged', rev: 11, json: '{"room":"kept","rev":11,"first":7}' },
    ]);
    expect(await metrics.text()).toMatch(/parley_retention_messages_total 6\n/);
    // nothing is unread that cannot be read
    expect(await sql`select last_read_seq as seq from members where room_id = 'kept' and user_id = 'ben'`).toEqual([
      { seq: 6 },
    ]);
  });

  it('does nothing when nothing has expired, and only the next message takes the next seq', async () => {
    await roomOf('idle', 3, 3, 4);
    const before = received.length;
    await round();
    expect(received.length).toBe(before);
    expect(await seqs('idle')).toEqual([1, 2, 3]);
  });

  it('goes by the default where a room says nothing', async () => {
    await roomOf('default', 5, 5, null);
    await roomOf('longer', 5, 5, 100);
    await round(2);
    expect(await seqs('default')).toEqual([4, 5]);
    expect(await seqs('longer')).toEqual([1, 2, 3, 4, 5]);
  });

  it('may leave nothing at all; numbers go on', async () => {
    await roomOf('emptied', 3, 30, 4);
    await round();
    expect(await seqs('emptied')).toEqual([]);
    expect(await pull('emptied', 4)).toEqual({ messages: [], rev: 4, more: false });
    expect(await pull('emptied', 3)).toEqual({ messages: [], rev: 4, more: false, reset: true });
    expect(await test.writer.send(send('emptied', 'ben'))).toMatchObject({ seq: 4, rev: 5 });
    expect(await pull('emptied', 4)).toMatchObject({ rev: 5, more: false, messages: [{ seq: 4 }] });
  });

  it('resets cursors from before it, and no others', async () => {
    await roomOf('cursors', 6, 6, 3);
    await round();
    for (const cursor of [0, 3, 6]) {
      expect(await pull('cursors', cursor), String(cursor)).toEqual({ messages: [], rev: 7, more: false, reset: true });
    }
    expect(await pull('cursors', 7)).toEqual({ messages: [], rev: 7, more: false });
    expect(await pull('cursors', 8)).toMatchObject({ reset: true });
  });

  it('takes many batches of a room that was never purged, while others write', async () => {
    const { sql } = database;
    await makeRoom(sql, 'large', 'ann');
    await sql`
      insert into messages (room_id, seq, id, rev, sender_id, body, created_at)
      select 'large', n, gen_random_uuid(), n, 'ann', '"x"'::jsonb, now() - interval '9 days' from generate_series(1, 3000) n`;
    await sql`update rooms set last_seq = 3000, last_rev = 3000, retention_days = 5 where id = 'large'`;
    let writing = true;
    const sends = (async () => {
      let n = 0;
      for (; writing; n++) await test.writer.send(send('large', 'ann'));
      return n;
    })();
    await round();
    writing = false;
    const sent = await sends;
    expect(await seqs('large')).toEqual(Array.from({ length: sent }, (_, n) => 3001 + n));
    const [room] = await sql<{ last_seq: number; last_rev: number }[]>`
      select last_seq, last_rev from rooms where id = 'large'`;
    expect(room).toEqual({ last_seq: 3000 + sent, last_rev: 3001 + sent });
  });

  it('deletes a message that was changed after it had expired, with a separate rev', async () => {
    const { sql } = database;
    await roomOf('late', 4, 4, null);
    // expired, but its row is still there when its sender is forgotten
    await sql`select expire_messages('late', 4, false)`;
    await sql`update messages set body = null, rev = 6, changed = true where room_id = 'late' and seq = 2`;
    await sql`update rooms set last_rev = 6 where id = 'late'`;
    expect(await seqs('late')).toEqual([1, 2, 3, 4]);
    await round();
    expect(await seqs('late')).toEqual([4]);
    const [room] = await sql`select last_rev, first_seq, purged_rev from rooms where id = 'late'`;
    expect(room).toEqual({ last_rev: 7, first_seq: 4, purged_rev: 7 });
    expect(await pull('late', 6)).toMatchObject({ reset: true, rev: 7 });
    expect(await pull('late', 7)).toEqual({ messages: [], rev: 7, more: false });
  });

  it('of two at once shares the work and publishes to the room once', async () => {
    const { sql } = database;
    await makeRoom(sql, 'shared', 'ann');
    await sql`
      insert into messages (room_id, seq, id, rev, sender_id, body, created_at)
      select 'shared', n, gen_random_uuid(), n, 'ann', '"x"'::jsonb, now() - interval '9 days' from generate_series(1, 1200) n`;
    await sql`update rooms set last_seq = 1200, last_rev = 1200, retention_days = 5 where id = 'shared'`;
    await sql`select expire_messages('shared', 1201, false)`;
    // the second one met the first one's rows, took them for changed, and had every client load the room again
    await whileDeleting('shared', 500, () => round());
    expect(await seqs('shared')).toEqual([]);
    const [room] = await sql`select last_rev, purged_rev from rooms where id = 'shared'`;
    expect([room, purgesOf('shared')]).toEqual([{ last_rev: 1201, purged_rev: 1201 }, 0]);

    await sql`
      insert into messages (room_id, seq, id, rev, sender_id, body, created_at)
      select 'shared', n, gen_random_uuid(), n + 1, 'ann', '"x"'::jsonb, now() - interval '9 days' from generate_series(1201, 4200) n`;
    await sql`update rooms set last_seq = 4200, last_rev = 4201 where id = 'shared'`;
    const both = await Promise.all([round(), round()]);
    const removed = await Promise.all(both.map(async (metrics) => (await metrics.retentionMessages.get()).values));
    expect(removed.flat().reduce((sum, { value }) => sum + value, 0)).toBe(3000);
    expect([await seqs('shared'), purgesOf('shared')]).toEqual([[], 1]);
  });

  it('keeps its periodic task as long as it goes on', async () => {
    const { sql } = database;
    await sql`
      insert into chores values ('retention', now() + interval '1 minute')
      on conflict (name) do update set due_at = excluded.due_at`;
    await round();
    expect(
      await sql`select due_at > now() + interval '12 hours' as later from chores where name = 'retention'`,
    ).toEqual([{ later: true }]);
  });

  it('leaves a thread to its replies, counted and followed, until the last of them goes', async () => {
    const { sql } = database;
    await makeRoom(sql, 'thread', 'ann', 'ben');
    const threads = new Threads({ sql, fanout: new MemoryFanout(() => undefined) });
    const changes = new Changes({ ...changing(), editWindowMs: 0 });
    const reply = () => test.writer.send(send('thread', 'ben', 'r', { replyTo: 1 }));
    const expire = async (last: number): Promise<void> => {
      await sql`update messages set created_at = now() - interval '9 days' where room_id = 'thread' and seq <= ${last}`;
      await round(5);
    };
    const read = async () => {
      type Page = { root: Message | null; messages: Message[] };
      const page = JSON.parse(await threads.history('ann', { room: 'thread', root: 1, limit: 50 })) as Page;
      return [page.root, page.messages.map(({ seq, thread }) => [seq, thread?.replies])];
    };
    await test.writer.send(send('thread', 'ann', 'q'));
    for (let n = 0; n < 4; n++) await reply(); // 2 to 5
    await changes.make({ room: 'thread', seq: 3, user: 'ben', kind: 'delete' });
    await expire(3);
    expect(await read()).toEqual([null, [[4, 2], [5, 2]]]); // prettier-ignore
    await reply();
    expect(await read()).toEqual([null, [[4, 3], [5, 3], [6, 3]]]); // prettier-ignore
    for (const seq of [4, 5]) await changes.make({ room: 'thread', seq, user: 'ben', kind: 'delete' });
    expect(await read()).toEqual([null, [[4, 1], [5, 1], [6, 1]]]); // prettier-ignore
    type Listed = { root: null; thread: { root: number; replies: number }; unread: number };
    const list = async () =>
      (
        JSON.parse(await threads.list('ann', { limit: 50 })) as { threads: (Listed & { room: string })[] }
      ).threads.filter(({ room }) => room === 'thread');
    expect(await list()).toMatchObject([{ root: null, thread: { root: 1, replies: 1 }, unread: 1 }]);
    await expire(6);
    expect(await list()).toEqual([]);
    await expect(read()).rejects.toMatchObject({ code: 'not_found' });
    for (const table of ['threads', 'thread_follows'])
      expect(await sql`select from ${sql(table)} where room_id = 'thread'`, table).toEqual([]);
  });

  it('leaves nothing to read or change between the line and the deletion', async () => {
    const { sql } = database;
    await makeRoom(sql, 'between', 'ann', 'ben');
    const { writer } = test;
    const calls = { names: [['ben']], everybody: true };
    await writer.send(send('between', 'ann', 'secret root', { mentions: calls }));
    await writer.send(send('between', 'ann', 'secret call', { mentions: { ...calls, names: [] } }));
    await writer.send(send('between', 'ann', 'secret reply', { replyTo: 1 }));
    await writer.send(send('between', 'ann', 'open reply', { replyTo: 1 }));
    await writer.send(send('between', 'ann', 'open call', { mentions: calls }));
    const changes = new Changes({ ...changing(), editWindowMs: 0 });
    const pins = new Pins(changing());
    const of = { room: 'between', user: 'ann' };
    for (const seq of [1, 5]) await pins.make({ ...of, seq, change: 'add' });
    await sql`insert into thread_follows values ('between', 1, 'ben', 1, now()) on conflict do nothing`;
    await sql`select expire_messages('between', 4, false)`;
    const threads = new Threads({ sql, fanout: new MemoryFanout(() => undefined) });
    const pages = {
      mentions: await mentions(sql, 'ben', { limit: 50 }),
      pins: await pinned(sql, 'ben', 'between'),
      history: await threads.history('ben', { room: 'between', root: 1, limit: 50 }),
      list: await threads.list('ben', { limit: 50 }),
    };
    for (const [name, page] of Object.entries(pages)) {
      expect(page, name).toContain(name === 'list' ? '"root":null' : 'open');
      expect(page, name).not.toContain('secret');
    }
    expect(JSON.parse(pages.list)).toMatchObject({ threads: [{ unread: 1 }] });
    await expect(threads.history('ben', { room: 'between', root: 2, limit: 50 })).rejects.toMatchObject({
      code: 'not_found',
    });
    for (const attempt of [
      changes.make({ ...of, seq: 2, kind: 'edit', body: '"x"' }),
      changes.make({ ...of, seq: 2, kind: 'delete' }),
      changes.make({ ...of, seq: 2, kind: 'add', emoji: '👍' }),
      changes.make({ ...of, seq: 1, kind: 'remove', emoji: '👍' }),
      pins.make({ ...of, seq: 2, change: 'add' }),
      pins.make({ ...of, seq: 1, change: 'remove' }),
    ])
      await expect(attempt).rejects.toMatchObject({ code: 'not_found' });
    expect(await sql`select last_rev from rooms where id = 'between'`).toEqual([{ last_rev: 8 }]);
  });

  it('gives no rev to a reaction on what is being deleted, and leaves none behind', async () => {
    const { sql } = database;
    await roomOf('racing', 3, 3, null);
    await sql`select expire_messages('racing', 3, false)`;
    const changes = new Changes({ ...changing(), editWindowMs: 0 });
    let outcome: unknown;
    await whileDeleting('racing', 2, async () => {
      outcome = await changes
        .make({ room: 'racing', seq: 2, user: 'ben', kind: 'add', emoji: '👍' })
        .catch((error: unknown) => error);
    });
    expect(outcome).toMatchObject({ code: 'not_found' });
    expect(await sql`select last_rev from rooms where id = 'racing'`).toEqual([{ last_rev: 4 }]);
    for (const table of ['reactions', 'reaction_counts'])
      expect(await sql`select from ${sql(table)} where room_id = 'racing'`, table).toEqual([]);
  });

  it('reaches clients that missed it by repair and by the outbox', async () => {
    const { sql } = database;
    await roomOf('missed', 4, 4, 2);
    await round();
    await test.writer.send(send('missed', 'ann'));
    const missed = await readBackfill(sql, 'missed', 4);
    expect(missed?.events.map(({ event, rev }) => [event, rev])).toEqual([
      ['behind', 5],
      ['message', 6],
    ]);
    expect((await eventsBetween(sql, 'missed', 5, 5)).map(({ event, rev }) => [event, rev])).toEqual([['behind', 5]]);
    expect((await readBackfill(sql, 'missed', 5))?.events.map(({ rev }) => rev)).toEqual([6]);
  });
});

it('threads that went with their root before there was migration 0011 are counted again', async () => {
  const database = await createTestDatabase({ empty: true });
  const folder = mkdtempSync(join(tmpdir(), 'parley-migrations-'));
  const all = fileURLToPath(new URL('../../migrations/', import.meta.url));
  for (const file of readdirSync(all)) if (file < '0011') copyFileSync(join(all, file), join(folder, file));
  const { sql } = database;
  await migrate(sql, folder);
  await sql`insert into rooms (id, kind, created_by, first_seq, last_seq, last_rev) values ('r', 'group', 'ann', 3, 6, 6)`;
  await sql`
    insert into messages (room_id, seq, id, rev, sender_id, body, created_at, reply_to, thread)
    select 'r', n, gen_random_uuid(), n, 'ben', '"x"', now(), case when n > 3 then 1 end, case when n > 3 then 1 end
    from generate_series(3, 6) n`;
  // it began again with message 6, and then 4 was deleted and removed from it
  await sql`insert into threads values ('r', 1, 0, now(), array['ben'], 6)`;
  await sql`update messages set deleted_at = now(), body = null where seq = 4`;
  await migrate(sql);
  expect(await sql`select root, replies from threads`).toEqual([{ root: 1, replies: 2 }]);
  rmSync(folder, { recursive: true });
  await database.drop();
});

describe('seen by clients', () => {
  let first: TestServer;
  let second: TestServer;
  let database: TestDatabase;
  let ann: StockClient;
  let ben: StockClient;
  beforeAll(async () => {
    database = await createTestDatabase();
    const env = {
      REDIS_URL: inject('redisUrl'),
      PARLEY_REDIS_PREFIX: `test-${randomBytes(6).toString('hex')}:`,
      PARLEY_RETENTION_EVERY_MS: '200',
      PARLEY_RETENTION_DAYS: '30',
      PARLEY_COMMAND_BURST: '100000',
    };
    first = await startServer(env, database);
    second = await startServer(env, database);
    ann = await connectStock(first.url, await tokenOf('ann'));
    ben = await connectStock(second.url, await tokenOf('ben'));
  });
  afterAll(async () => {
    for (const client of [ann, ben]) client.close();
    await first.stop();
    await second.stop();
    await database.drop();
  });

  it('messages are gone from history, versions and unread on every node, and the event is in rev order', async () => {
    const { sql } = database;
    await ann.ok('room:create', { kind: 'group', name: 'R', id: 'r' });
    await ann.ok('room:invite', { room: 'r', user: 'ben' });
    for (let n = 1; n <= 5; n++) await ann.ok('message:send', text('r', n));
    await sql`update messages set created_at = now() - interval '31 days' where room_id = 'r' and seq <= 3`;
    for (const client of [ann, ben]) {
      expect(await client.event('room:purged')).toEqual({ room: 'r', rev: 6, first: 4 });
    }
    await ben.ok('message:send', text('r', 'next'));
    const event = await ann.event('message', ({ body }) => body === 'next');
    expect(event).toMatchObject({ seq: 6, rev: 7 });
    expect(ann.received('room:purged').length).toBe(1);
    const page = await ben.ok('history', { room: 'r', after: 0 });
    expect(page.messages.map(({ seq }) => seq)).toEqual([4, 5, 6]);
    expect(await ben.ok('history', { room: 'r', before: 4 })).toMatchObject({ messages: [], more: false });
    expect(await ann.error('message:versions', { room: 'r', seq: 2 })).toMatchObject({ code: 'not_found' });
    await until('nothing is unread', async () => {
      const { rooms } = await ben.ok('unread', {});
      return rooms[0]?.unread === 0;
    });
  });
});
