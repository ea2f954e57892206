/** Changes of messages when the database falters: each takes effect once, and nobody is left with less than the truth. */
import type postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Changes, type Change } from '../../src/messages/changes.ts';
import { Pins } from '../../src/messages/pins.ts';
import { Writer } from '../../src/messages/writer/writer.ts';
import type { Envelope } from '../../src/fanout/fanout.ts';
import { MemoryFanout } from '../../src/fanout/memory.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeRoom, send, silentLog } from '../support/messaging.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

interface Parts {
  readonly writer: Writer;
  readonly changes: Changes;
  readonly pins: Pins;
  readonly received: Envelope[];
}

function parts(
  options: {
    sql?: postgres.Sql;
    writerSql?: postgres.Sql;
    maxWaiting?: number;
    maxBatch?: number;
    retryMs?: number;
  } = {},
): Parts {
  const received: Envelope[] = [];
  const fanout = new MemoryFanout((envelopes) => void received.push(...envelopes));
  const shared = { sql: database.sql, fanout, metrics: new Metrics(), log: silentLog };
  const writer = new Writer({
    ...shared,
    sql: options.writerSql ?? database.sql,
    stripes: 1,
    maxBatch: 500,
    maxWaiting: options.maxWaiting ?? 20_000,
  });
  const changes = new Changes({ ...shared, ...options, writer, editWindowMs: 0 });
  const pins = new Pins({ ...shared, ...options, writer });
  return { writer, changes, pins, received };
}

/** Postgres executes the statement, and the connection ends before the answer, this often. */
function answersLost(times: number): postgres.Sql {
  let left = times;
  return new Proxy(database.sql, {
    apply(target, self, args: unknown[]) {
      const query = Reflect.apply(target as never, self, args) as Promise<unknown>;
      if (left === 0) return query;
      left -= 1;
      return query.then(() => {
        throw Object.assign(new Error('the connection was lost'), { code: 'ECONNRESET' });
      });
    },
  });
}

const target = (room: string, seq = 1) => ({ room, seq, user: 'ann' });
const received = ({ received: all }: Parts): unknown[] =>
  all.map((event) => (event.to === 'room' ? [event.event, event.rev] : []));

describe('when the answer to a commit is lost', () => {
  it.each([
    ['an edit', { kind: 'edit', body: '"new"' }],
    ['a deletion', { kind: 'delete' }],
    ['a reaction', { kind: 'add', emoji: '👍' }],
  ] as const)('%s takes effect once, and the room gets `behind`', async (name, change) => {
    const room = await makeRoom(database.sql, `lost-${name.replace(' ', '-')}`, 'ann');
    const all = parts({ sql: answersLost(2) });
    await all.writer.send(send(room, 'ann'));
    expect(await all.changes.make({ ...target(room), ...change } as Change)).toMatchObject({ rev: 2 });
    expect(received(all)).toEqual([
      ['message', 1],
      ['behind', undefined],
    ]);
    expect(JSON.parse((all.received[1] as { json: string }).json)).toEqual({ room, head: 2 });
    const [row] = await database.sql`select last_rev from rooms where id = ${room}`;
    expect(row).toEqual({ last_rev: 2 });
  });

  it('a pin takes effect once, and the room gets `behind`', async () => {
    const room = await makeRoom(database.sql, 'lost-pin', 'ann');
    const all = parts({ sql: answersLost(2) });
    await all.writer.send(send(room, 'ann'));
    expect(await all.pins.make({ ...target(room), change: 'add' })).toEqual({ rev: 2 });
    expect(received(all)).toEqual([
      ['message', 1],
      ['behind', undefined],
    ]);
  });

  it('a reply counts once, mentions once, and says where its thread stands', async () => {
    const room = await makeRoom(database.sql, 'lost-reply', 'ann', 'ben');
    await parts().writer.send(send(room, 'ann'));
    const all = parts({ writerSql: answersLost(2) });
    const mentions = { names: [['ann']], everybody: false };
    expect(await all.writer.send(send(room, 'ben', 'x', { replyTo: 1, mentions }))).toMatchObject({ rev: 2 });
    // no mentioned user got an event: the mention is in the table
    expect(received(all)).toEqual([['message', 2]]);
    expect(JSON.parse((all.received[0] as { json: string }).json)).toMatchObject({
      thread: { root: 1, replies: 1, rev: 2 },
    });
    const rows = await database.sql`select seq, user_id from mentions where room_id = ${room}`;
    expect(rows).toEqual([{ seq: 2, user_id: 'ann' }]);
  });

  it('for longer than is tried, it is unavailable, and its author may try again', async () => {
    const room = await makeRoom(database.sql, 'lost-for-long', 'ann');
    const all = parts({ sql: answersLost(1), retryMs: 0 });
    await all.writer.send(send(room, 'ann'));
    const change: Change = { ...target(room), kind: 'edit', body: '"new"' };
    await expect(all.changes.make(change)).rejects.toMatchObject({ code: 'unavailable', retryAfter: 1000 });
    expect(await all.changes.make(change)).toMatchObject({ rev: 2 });
  });
});

it('answers overloaded past its queue, and carries out what it took', async () => {
  const room = await makeRoom(database.sql, 'changes-queue', 'ann');
  const { writer, changes } = parts({ maxWaiting: 12, maxBatch: 4 });
  await writer.send(send(room, 'ann'));
  // one user gets three quarters
  const made = Array.from({ length: 10 }, (_, n) =>
    changes.make({ ...target(room), kind: 'add', emoji: String.fromCodePoint(0x1f600 + n) }),
  );
  const answers = await Promise.allSettled(made);
  expect(answers.slice(0, 9).map((answer) => answer.status === 'fulfilled' && answer.value.rev)).toEqual([
    2, 3, 4, 5, 6, 7, 8, 9, 10,
  ]);
  expect(answers[9]).toMatchObject({ reason: { code: 'overloaded', retryAfter: 1000 } });
});

it('answers overloaded past its queue of pins, and carries out what it took', async () => {
  const room = await makeRoom(database.sql, 'pins-queue', 'ann');
  const { writer, pins } = parts({ maxWaiting: 12 });
  for (let n = 0; n < 10; n++) await writer.send(send(room, 'ann'));
  const answers = await Promise.allSettled(
    Array.from({ length: 10 }, (_, n) => pins.make({ ...target(room, n + 1), change: 'add' })),
  );
  expect(answers.slice(0, 9).every(({ status }) => status === 'fulfilled')).toBe(true);
  expect(answers[9]).toMatchObject({ reason: { code: 'overloaded', retryAfter: 1000 } });
});

it('sends, changes and pins share one limit of what may wait', async () => {
  const room = await makeRoom(database.sql, 'one-queue', 'ann');
  const { writer, changes, pins } = parts({ maxWaiting: 10 });
  await writer.send(send(room, 'ann'));
  const waiting = (): number => writer.waiting + changes.waiting + pins.waiting;
  const react = (n: number) => changes.make({ ...target(room), kind: 'add', emoji: String.fromCodePoint(0x1f600 + n) });
  const taken = [
    ...Array.from({ length: 2 }, () => writer.send(send(room, 'ann'))),
    ...Array.from({ length: 2 }, (_, n) => react(n)),
    pins.make({ ...target(room), change: 'add' }),
    // users share the second half
    ...['bob', 'cid', 'dan', 'eve', 'fay'].map((user) => changes.make({ ...target(room), user, kind: 'delete' })),
  ];
  const made = Promise.allSettled(taken);
  expect(waiting()).toBe(10);
  const refused = await Promise.allSettled([
    writer.send(send(room, 'ann')),
    react(5),
    pins.make({ ...target(room), change: 'remove' }),
  ]);
  for (const answer of refused) expect(answer).toMatchObject({ reason: { code: 'overloaded', retryAfter: 1000 } });
  expect(writer.isFull(room)).toBe(true);
  expect((await made).slice(0, 5).every(({ status }) => status === 'fulfilled')).toBe(true);
  expect(waiting()).toBe(0);
  await react(6);
  expect(writer.isFull(room)).toBe(false);
});

it('sends and changes of a room take turns, and what is published is in the order of revs', async () => {
  const rooms = await Promise.all(['turn-a', 'turn-b'].map((room) => makeRoom(database.sql, room, 'ann')));
  const all = parts({ maxBatch: 7 });
  for (const room of rooms) await all.writer.send(send(room, 'ann'));
  await Promise.all(
    Array.from({ length: 300 }, async (_, n) => {
      const room = rooms[n % 2] as string;
      // some come while others are under way
      if (n % 5 === 0) await all.writer.send(send(room, 'ann'));
      if (n % 3 === 0) await all.writer.send(send(room, 'ann', n, n % 2 === 0 ? { replyTo: 1 } : {}));
      else if (n % 7 === 0) await all.pins.make({ ...target(room), change: n % 4 === 0 ? 'add' : 'remove' });
      else if (n % 3 === 1) await all.changes.make({ ...target(room), kind: 'edit', body: String(n) });
      else await all.changes.make({ ...target(room), kind: n % 4 === 0 ? 'add' : 'remove', emoji: '👍' });
    }),
  );
  for (const room of rooms) {
    const revs = all.received.flatMap((event) => (event.to === 'room' && event.room === room ? [event.rev] : []));
    expect(revs).toEqual(Array.from({ length: revs.length }, (_, n) => n + 1));
    const [row] = await database.sql`select last_rev from rooms where id = ${room}`;
    expect(row).toEqual({ last_rev: revs.length });
  }
});
