import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { MemoryFanout } from '../../src/fanout/memory.ts';
import { missedEvents, eventsBetween } from '../../src/messaging/missed.ts';
import { Retention } from '../../src/messaging/retention.ts';
import { sync } from '../../src/messaging/sync.ts';
import type { Envelope } from '../../src/fanout/fanout.ts';
import type { CommandOutput } from '../../src/protocol/commands.ts';
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
  const told: Envelope[] = [];
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
    const fanout = new MemoryFanout((envelopes) => void told.push(...envelopes));
    // somebody else has taken the chore, so this one does nothing by itself
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
    expect(told.filter((e) => e.to === 'room' && e.room === 'kept')).toEqual([
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
    const before = told.length;
    await round();
    expect(told.length).toBe(before);
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

  it('lets a message go that was changed after it had expired, with a rev of its own', async () => {
    const { sql } = database;
    await roomOf('late', 4, 4, null);
    // expired, but its row is still there when somebody is quicker
    await sql`select expire_messages('late', 4, false)`;
    await sql`select * from change_messages(array['late'], '[["late", [[0, "delete", 2, "ann", null]]]]'::jsonb, '{}', 0, 50, 100)`;
    expect(await seqs('late')).toEqual([1, 2, 3, 4]);
    await round();
    expect(await seqs('late')).toEqual([4]);
    const [room] = await sql`select last_rev, first_seq, purged_rev from rooms where id = 'late'`;
    expect(room).toEqual({ last_rev: 7, first_seq: 4, purged_rev: 7 });
    expect(await pull('late', 6)).toMatchObject({ reset: true, rev: 7 });
    expect(await pull('late', 7)).toEqual({ messages: [], rev: 7, more: false });
  });

  it('is told by repair and by the outbox to who missed it', async () => {
    const { sql } = database;
    await roomOf('missed', 4, 4, 2);
    await round();
    await test.writer.send(send('missed', 'ann'));
    const missed = await missedEvents(sql, 'missed', 4);
    expect(missed?.events.map(({ event, rev }) => [event, rev])).toEqual([
      ['behind', 5],
      ['message', 6],
    ]);
    expect((await eventsBetween(sql, 'missed', 5, 5)).map(({ event, rev }) => [event, rev])).toEqual([['behind', 5]]);
    expect((await missedEvents(sql, 'missed', 5))?.events.map(({ rev }) => rev)).toEqual([6]);
  });
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
    expect(ann.heard('room:purged').length).toBe(1);
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
