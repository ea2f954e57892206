/** The order of seqs is not the order of times: imports keep the times of their file, and clocks go back. */
import { randomUUID } from 'node:crypto';
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import type postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Envelope } from '../../src/fanout/fanout.ts';
import { MemoryFanout } from '../../src/fanout/memory.ts';
import { history } from '../../src/messages/history.ts';
import { Retention } from '../../src/retention/retention.ts';
import { sync } from '../../src/recovery/catch-up.ts';
import { exportRooms } from '../../src/transfer/export.ts';
import { importLines } from '../../src/transfer/import.ts';
import { commands } from '../../src/protocol/commands.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createSearch, createWriter, makeRoom, send, silentLog, type TestWriter } from '../support/messaging.ts';

const day = 86_400_000;
let database: TestDatabase;
let other: TestDatabase;
let test: TestWriter;
beforeAll(async () => {
  database = await createTestDatabase();
  other = await createTestDatabase();
  test = createWriter(database.sql);
  // the test makes the rounds
  await database.sql`insert into chores values ('retention', now() + interval '1 day')`;
});
afterAll(async () => {
  await test.writer.stop();
  await other.drop();
  await database.drop();
});

interface Line {
  readonly at: number;
  readonly replyTo?: number;
}

/** The file of a room whose messages have these times. */
function fileOf(room: string, lines: readonly Line[], retentionDays: number | null = null): string[] {
  const seq = lines.length;
  const counts = { versions: 0, reactions: 0, mentions: 0, follows: 0, bans: 0, mutes: 0, invitations: 0, links: 0 };
  const head = { id: room, kind: 'group', name: room, createdBy: 'ann', createdAt: 1, first: 1, retentionDays };
  return [
    { type: 'export', format: 2, at: 1, since: null },
    { type: 'room', ...head, seq, rev: seq },
    ...lines.map((line, n) => ({
      type: 'message',
      seq: n + 1,
      rev: n + 1,
      id: `00000000-0000-4000-8000-${String(n + 1).padStart(12, '0')}`,
      from: 'ann',
      body: { text: `word w${n + 1}` },
      ...line,
    })),
    { type: 'member', user: 'ann', name: null, role: 'owner', read: 0, delivered: 0, joinedAt: 1 },
    { type: 'room:end', id: room, messages: seq, members: 1, ...counts },
    { type: 'end', rooms: 1, messages: seq },
  ].map((line) => JSON.stringify(line));
}

async function* chunks(lines: readonly string[]): AsyncGenerator<string> {
  yield await Promise.resolve(`${lines.join('\n')}\n`);
}
const imported = (sql: postgres.Sql, lines: readonly string[]) => importLines(sql, chunks(lines));

async function exported(sql: postgres.Sql, room: string, since?: number): Promise<string[]> {
  let text = '';
  await exportRooms(sql, { room, since }, (part) => {
    text += part;
    return Promise.resolve();
  });
  return text.trimEnd().split('\n');
}

async function round(sql: postgres.Sql = database.sql, retentionDays?: number): Promise<Envelope[]> {
  const received: Envelope[] = [];
  const retention = new Retention({
    sql,
    fanout: new MemoryFanout((envelopes) => void received.push(...envelopes)),
    metrics: new Metrics(),
    log: silentLog,
    writer: test.writer,
    retentionDays,
    retentionEveryMs: day,
  });
  await retention.run();
  await retention.stop();
  return received;
}

/** Without the lines of what expired. */
function messagesOf(file: string[]): string[] {
  return file.slice(2).filter((text) => !text.includes('"type":"expired"'));
}

async function seqs(sql: postgres.Sql, room: string, user = 'ann'): Promise<number[]> {
  const page = await history(sql, user, { room, limit: 200 }, 'epoch');
  return (JSON.parse(page.json) as { messages: { seq: number }[] }).messages.map(({ seq }) => seq);
}

describe('a message that is sent', () => {
  it('has a time that is at least that of the message before, also when the clock went back', async () => {
    const { sql } = database;
    for (const room of ['ahead', 'steady']) await makeRoom(sql, room, 'ann');
    await test.writer.send(send('ahead', 'ann'));
    const [{ at }] = await sql<[{ at: number }]>`
      update messages set created_at = date_trunc('milliseconds', now()) + interval '1 hour' where room_id = 'ahead' returning created_at as at`;
    // one batch of two rooms: the other one keeps to the clock
    const sent = await Promise.all(
      ['ahead', 'ahead', 'steady'].map((room) => test.writer.send(send(room, 'ann', { text: room }))),
    );
    expect(sent.map((one) => one.at >= at)).toEqual([true, true, false]);
    const stored = await sql<{ at: number }[]>`
      select created_at as at from messages where room_id = 'ahead' order by seq`;
    expect(stored.map((row) => row.at)).toEqual([at, sent[0]?.at, sent[1]?.at]);
  });

  it('is not drawn into the future by an import with a time of it', async () => {
    const { sql } = database;
    await imported(sql, fileOf('future', [{ at: 1000 }, { at: Date.UTC(9999, 0) }, { at: 2000 }]));
    const { at } = await test.writer.send(send('future', 'ann'));
    expect(Math.abs(at - Date.now())).toBeLessThan(day);
    expect(await sql`select created_at as at from messages where room_id = 'future' order by seq`).toMatchObject([
      { at: 1000 },
      { at: Date.UTC(9999, 0) },
      { at: 2000 },
      { at },
    ]);
  });
});

describe('a round of retention', () => {
  const now = Date.now();
  const ages = [40, 1, 1, 1, 1, 1, 1, 400, 400, 1, 1, 1, 1, 1, 1];
  const old = (days: number, n = 0): number => now - days * day + n;

  it.each([
    ['a room that says how long', 30, undefined],
    ['the default', null, 30],
  ])('of %s takes every old message and no young one, wherever they stand', async (_, ofRoom, ofAll) => {
    const { sql } = database;
    const room = ofRoom === null ? 'by-default' : 'by-room';
    await imported(
      sql,
      fileOf(
        room,
        ages.map((days, n) => ({ at: old(days, n) })),
        ofRoom,
      ),
    );
    await sql`insert into reactions values (${room}, 8, 'ann', '👍', now())`;
    await sql`insert into reaction_counts values (${room}, 8, '👍', 1, 8)`;
    await sql`insert into message_versions values (${room}, 9, 1, '"x"'::jsonb, 'ann', now())`;
    await sql`select * from index_messages(${[room]}::text[], 'simple', 100)`;
    const kept = [2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15];
    const received = await round(sql, ofAll);
    expect(await seqs(sql, room)).toEqual(kept);
    for (const table of ['reactions', 'reaction_counts', 'message_versions']) {
      expect(await sql`select from ${sql(table)} where room_id = ${room}`, table).toEqual([]);
    }
    const indexed = await sql<{ seq: number }[]>`select seq from message_search where room_id = ${room} order by seq`;
    expect(indexed.map(({ seq }) => seq)).toEqual(kept);
    // a client with the messages between others starts over
    const events = received.flatMap((e) => (e.to === 'room' && e.room === room ? [[e.event, e.rev]] : []));
    expect(events).toEqual([
      ['room:purged', 16],
      ['behind', 17],
    ]);
    const pulled = await sync(sql, 'ann', { cursors: { [room]: 15 }, limit: 100, bytes: 1e6 });
    expect(JSON.parse(`{${pulled.rooms.join(',')}}`)).toMatchObject({ [room]: { reset: true, rev: 17 } });
    // the next message has the next seq, and a second round finds nothing
    const next = await test.writer.send(send(room, 'ann'));
    expect(next.seq).toBe(16);
    expect((await round(sql, ofAll)).filter((e) => e.to === 'room' && e.room === room)).toEqual([]);
    expect(await seqs(sql, room)).toEqual([...kept, 16]);
  });

  it('leaves a thread with the answers that are young, and takes one that ended', async () => {
    const { sql } = database;
    const lines: Line[] = [
      { at: old(1) },
      { at: old(50) },
      { at: old(1), replyTo: 2 },
      { at: old(60), replyTo: 2 },
      { at: old(50) },
      { at: old(50), replyTo: 5 },
      { at: old(1) },
    ];
    await imported(sql, fileOf('threads', lines, 30));
    await round();
    expect(await seqs(sql, 'threads')).toEqual([1, 3, 7]);
    expect(await sql`select root, replies from threads where room_id = 'threads'`).toEqual([{ root: 2, replies: 1 }]);
  });

  it('goes on in steps through more messages than one statement reads', async () => {
    const { sql } = database;
    const at = (days: number, count: number) => Array.from({ length: count }, () => ({ at: old(days) }));
    await imported(sql, fileOf('steps', [...at(40, 7), ...at(1, 1), ...at(40, 2)], 30));
    const cutoff = old(30);
    const step = (start: number, most: number) =>
      sql`select first, more from first_kept('steps', ${cutoff}::timestamptz, ${start}::bigint, ${most})`;
    expect(await step(1, 3)).toEqual([{ first: 4, more: true }]);
    expect(await step(4, 3)).toEqual([{ first: 7, more: true }]);
    expect(await step(7, 3)).toEqual([{ first: 8, more: false }]);
    expect(await step(1, 8)).toEqual([{ first: 8, more: false }]);
    expect(await step(1, 7)).toEqual([{ first: 8, more: true }]);
    expect(await step(9, 2)).toEqual([{ first: 11, more: true }]);
    expect(await step(9, 3)).toEqual([{ first: 11, more: false }]);
    expect(await step(11, 3)).toEqual([{ first: 11, more: false }]);
  });

  it('takes a message of the future when it was stored so long ago', async () => {
    const { sql } = database;
    await imported(sql, fileOf('from-ahead', [{ at: old(1) }, { at: Date.UTC(9999, 0) }, { at: old(1) }], 30));
    await round();
    expect(await seqs(sql, 'from-ahead')).toEqual([1, 2, 3]);
    await sql`update messages set created_at = created_at - interval '40 days' where room_id = 'from-ahead' and seq <> 2`;
    await sql`
      update message_order set ordered_at = ordered_at - interval '40 days',
        at = case when seq = 2 then at else at - interval '40 days' end where room_id = 'from-ahead'`;
    await round();
    expect(await seqs(sql, 'from-ahead')).toEqual([]);
    expect(await sql`select from message_order where room_id = 'from-ahead'`).toEqual([]);
  });
});

describe('of any times', () => {
  const page = { limit: 50 };

  it('retention, exports by date, imports and search go by each message', { timeout: 120_000 }, async () => {
    const { sql } = database;
    const times = fc.array(fc.integer({ min: -9, max: 60 }), { minLength: 1, maxLength: 14 });
    let n = 0;
    await fc.assert(
      fc.asyncProperty(times, fc.nat(13), fc.integer({ min: -5, max: 50 }), async (days, cut, bound) => {
        const room = `any-${n++}`;
        const now = Date.now();
        // none at the very limit, which moves on meanwhile
        const at = days.map((d, i) => now - d * day + 3_600_000 + i);
        const lines = at.map((one) => ({ at: one }));
        // in two runs, the second of which goes on with what the first has
        await imported(sql, fileOf(room, lines.slice(0, cut + 1), 30));
        await imported(sql, fileOf(room, lines, 30));
        const all = at.map((_, i) => i + 1);
        expect(await seqs(sql, room)).toEqual(all);

        const since = now - bound * day;
        const dated = (await exported(sql, room, since)).map(
          (text) => JSON.parse(text) as { type: string; seq: number },
        );
        const written = dated.flatMap(({ type, seq }) => (type === 'message' ? seq : []));
        const wanted = all.filter((seq) => (at[seq - 1] as number) >= since);
        expect(written.filter((seq) => wanted.includes(seq))).toEqual(wanted);
        if (wanted.length > 0) expect(written[0]).toBe(wanted[0]);

        await sql`select * from index_messages(${[room]}::text[], 'simple', 100)`;
        const search = createSearch(sql);
        const found = async (input: object): Promise<number[]> => {
          const parsed = commands.search.input.parse({ query: 'word', room, ...page, ...input });
          const { hits } = JSON.parse(await search.page('ann', parsed)) as { hits: { message: { seq: number } }[] };
          return hits.map(({ message }) => message.seq);
        };
        const newest = (list: number[]) => list.toSorted((a, b) => (at[b - 1] as number) - (at[a - 1] as number));
        expect(await found({ since })).toEqual(newest(wanted));
        expect(await found({ until: since })).toEqual(newest(all.filter((seq) => !wanted.includes(seq))));

        await round();
        const young = all.filter((seq) => (at[seq - 1] as number) >= now - 30 * day);
        expect(await seqs(sql, room)).toEqual(young);
        // what is left can be moved to another server, with what expired in between
        await imported(other.sql, await exported(sql, room));
        expect(await seqs(other.sql, room)).toEqual(young);
        // but for the place of what is behind a message of the future, which is the moment of its import
        expect(messagesOf(await exported(other.sql, room))).toEqual(messagesOf(await exported(sql, room)));
      }),
      { numRuns: 40 },
    );
  });
});

it('messages that were stored before migration 0013 are put in the order of time by it', async () => {
  const empty = await createTestDatabase({ empty: true });
  const folder = mkdtempSync(join(tmpdir(), 'parley-migrations-'));
  const all = fileURLToPath(new URL('../../migrations/', import.meta.url));
  for (const file of readdirSync(all)) if (file < '0013') copyFileSync(join(all, file), join(folder, file));
  const { sql } = empty;
  await migrate(sql, folder);
  const now = Date.now();
  const days = [40, 1, 1, 400, -5, 1];
  await sql`insert into users (id) values ('ann')`;
  await sql`
    insert into rooms (id, kind, created_by, last_seq, last_rev, retention_days, member_count) values ('r', 'group', 'ann', 6, 6, 30, 1)`;
  await sql`insert into members (room_id, user_id, role) values ('r', 'ann', 'owner')`;
  for (const [n, d] of days.entries()) {
    await sql`
      insert into messages (room_id, seq, id, rev, sender_id, body, created_at)
      values ('r', ${n + 1}, ${randomUUID()}, ${n + 1}, 'ann', '"x"', ${now - d * day}::timestamptz)`;
  }
  await migrate(sql);
  const order = await sql<{ seq: number; at: number; ordered_at: number }[]>`
    select seq, at, ordered_at from message_order order by seq`;
  expect(order.map(({ seq, at, ordered_at: placed }) => [seq, at, placed > at])).toEqual([
    [4, now - 400 * day, true],
    [5, now + 5 * day, false],
    [6, now - day, true],
  ]);
  await round(sql);
  expect(await seqs(sql, 'r')).toEqual([2, 3, 5, 6]);
  rmSync(folder, { recursive: true });
  await empty.drop();
});
