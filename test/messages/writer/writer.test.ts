import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { addMember, assertDense, createWriter, makeRoom, send } from '../../support/messaging.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
/** A writer may have a timer when its test ends, for its outbox rows or a retry: each is stopped before the database goes. */
const writers: ReturnType<typeof createWriter>['writer'][] = [];
const openWriter: typeof createWriter = (...options) => {
  const opened = createWriter(...options);
  writers.push(opened.writer);
  return opened;
};

afterAll(async () => {
  for (const writer of writers) await writer.stop();
  await assertDense(database.sql);
  await database.drop();
});

const outcomes = async (answers: Promise<unknown>[]) =>
  (await Promise.allSettled(answers)).map((answer) =>
    answer.status === 'fulfilled'
      ? (answer.value as { seq: number }).seq
      : ((answer.reason as { code?: string }).code ?? String(answer.reason)),
  );

describe('the writer', () => {
  it('commits what comes in one turn as one batch, numbered in order of arrival', async () => {
    const { writer, published: received, metric } = openWriter(database.sql, { stripes: 1 });
    const [a, b] = [await makeRoom(database.sql, 'order-a', 'ann'), await makeRoom(database.sql, 'order-b', 'ann')];
    const answers = await outcomes([a, b, a, a, b].map((room, n) => writer.send(send(room, 'ann', n))));
    expect(answers).toEqual([1, 1, 2, 3, 2]);
    expect(await metric('parley_writer_batch_messages_count')).toBe(1);
    expect(received.map((event) => (event.to === 'room' ? [event.room, event.rev] : []))).toEqual([
      [a, 1],
      [b, 1],
      [a, 2],
      [a, 3],
      [b, 2],
    ]);
    await writer.flush();
  });

  it('gives a message sent again its first seq, in the same batch and any time later', async () => {
    const { writer } = openWriter(database.sql);
    const room = await makeRoom(database.sql, 'again', 'ann', 'ben');
    const first = send(room, 'ann', 'original');
    const twice = await Promise.all([writer.send(first), writer.send(first)]);
    const duplicate = { ...twice[0], duplicate: true };
    expect(twice[1]).toEqual(duplicate);
    await writer.send(send(room, 'ben'));
    const { writer: another } = openWriter(database.sql);
    expect(await another.send({ ...first, body: '"changed"' })).toEqual(duplicate);
    const rows = await database.sql`select seq, body from messages where room_id = ${room} order by seq`;
    expect(rows).toMatchObject([{ seq: 1, body: '"original"' }, { seq: 2 }]);
  });

  it('answers conflict to the id of somebody else, in the same batch and later', async () => {
    const { writer } = openWriter(database.sql);
    const room = await makeRoom(database.sql, 'conflict', 'ann', 'ben');
    const other = await makeRoom(database.sql, 'conflict-2', 'ben');
    const mine = send(room, 'ann');
    const his = { ...mine, sender: 'ben' };
    expect(await outcomes([writer.send(mine), writer.send(his)])).toEqual([1, 'conflict']);
    expect(await outcomes([writer.send(his), writer.send(mine)])).toEqual(['conflict', 1]);
    expect(await outcomes([writer.send({ ...his, room: other })])).toEqual([1]);
  });

  it('refuses for each reason without harm to the neighbours of the batch', async () => {
    const { writer, published: received } = openWriter(database.sql, { stripes: 1 });
    const room = await makeRoom(database.sql, 'reasons', 'ann');
    await addMember(database.sql, room, 'ann', 'gus', 'guest');
    await database.sql`select create_room('reasons-open', 'channel', 'Open', 'ben', null, 100)`;
    const answers = await outcomes([
      writer.send(send(room, 'ann')),
      writer.send(send('no-such-room', 'ann')),
      writer.send(send(room, 'ben')),
      writer.send(send('reasons-open', 'ann')),
      writer.send(send(room, 'gus')),
      writer.send(send(room, 'ann', 'x', { replyTo: 7 })),
      writer.send(send(room, 'ann')),
    ]);
    expect(answers).toEqual([1, 'not_found', 'not_found', 'not_member', 'forbidden', 'not_found', 2]);
    expect(received).toHaveLength(2);
  });

  it('notes lanes and ranges in one outbox row a commit, which the next commit marks', async () => {
    const { writer } = openWriter(database.sql, { stripes: 1, tidyMs: 60_000 });
    const [a, b] = [await makeRoom(database.sql, 'lanes-a', 'ann'), await makeRoom(database.sql, 'lanes-b', 'ann')];
    const entries = async () => {
      const rows = await database.sql<{ entries: string }[]>`
        select entries from outbox where not fanned_out and entries @> ${`[{"room":"${a}"}]`}::text::jsonb order by id`;
      return rows.map((row) => JSON.parse(row.entries) as { room: string }[]);
    };
    await Promise.all([
      writer.send(send(a, 'ann')),
      writer.send(send(b, 'ann')),
      writer.send(send(a, 'ann', 'x', { lane: 'critical' })),
    ]);
    const [first] = await entries();
    expect(first?.toSorted((x, y) => (x.room < y.room ? -1 : 1))).toEqual([
      { room: a, from: 1, to: 2, seq: 1, lanes: { '2': 'critical' } },
      { room: b, from: 1, to: 1, seq: 1, lanes: null },
    ]);
    await writer.send(send(a, 'ann'));
    expect(await entries()).toEqual([[{ room: a, from: 3, to: 3, seq: 3, lanes: null }]]);
  });

  it('stores a message of a neighbour before what one user sent too much of, and keeps the order of each', async () => {
    const { writer } = openWriter(database.sql, { stripes: 1, maxBatch: 10 });
    const [eves, anns] = [await makeRoom(database.sql, 'much', 'eve'), await makeRoom(database.sql, 'little', 'ann')];
    const done: string[] = [];
    const note = (sender: string, room: string, n: number): Promise<unknown> =>
      writer.send(send(room, sender, n)).then(({ seq }) => {
        expect(seq).toBe(n);
        done.push(sender);
      });
    const sends = Array.from({ length: 100 }, (_, n) => note('eve', eves, n + 1));
    sends.push(note('ann', anns, 1), note('ann', anns, 2));
    await Promise.all(sends);
    // both of them in the first batch
    expect(done.lastIndexOf('ann')).toBeLessThan(10);
  });

  it('bounds a commit by bytes: 199 of the largest messages and one small one were one commit of 3 MB', async () => {
    const { writer, metric } = openWriter(database.sql, { stripes: 1, maxBatchBytes: 128 * 1024 });
    const [eves, anns] = [await makeRoom(database.sql, 'heavy', 'eve'), await makeRoom(database.sql, 'light', 'ann')];
    const largest = 'x'.repeat(16_000);
    const done: string[] = [];
    const note = (sender: string, room: string, body: string): Promise<unknown> =>
      writer.send(send(room, sender, body)).then(() => done.push(sender));
    const sends = Array.from({ length: 40 }, () => note('eve', eves, largest));
    sends.push(note('ann', anns, 'small'));
    await Promise.all(sends);
    // eight of 16,002 units fit in a commit, and the small one rides in the first
    expect(await metric('parley_writer_batch_messages_count')).toBe(5);
    expect(done.indexOf('ann')).toBeLessThan(9);
    const small = Array.from({ length: 500 }, (_, n) => writer.send(send(eves, 'eve', n)));
    await Promise.all(small);
    expect(await metric('parley_writer_batch_messages_count')).toBe(6);
  });

  it('answers overloaded past its queue, and stores what it took', async () => {
    const { writer } = openWriter(database.sql, { stripes: 1, maxWaiting: 12, maxBatch: 4 });
    const room = await makeRoom(database.sql, 'queue', 'ann');
    const sends = Array.from({ length: 10 }, (_, n) => writer.send(send(room, 'ann', n)));
    // one user gets three quarters
    expect(writer.waiting).toBe(9);
    const answers = await Promise.allSettled(sends);
    expect(answers.slice(0, 9).every(({ status }) => status === 'fulfilled')).toBe(true);
    expect(answers[9]).toMatchObject({ reason: { code: 'overloaded', retryAfter: 1000, retryable: true } });
    expect(await writer.send(send(room, 'ann'))).toMatchObject({ seq: 10 });
  });

  it('keeps places for others while one user fills the queue: a neighbour got overloaded', async () => {
    const { writer } = openWriter(database.sql, { stripes: 1, maxWaiting: 20, maxBatch: 4 });
    const eves = await makeRoom(database.sql, 'flood', 'eve');
    const anns = await makeRoom(database.sql, 'neighbour', 'ann');
    const flood = Promise.allSettled(Array.from({ length: 100 }, (_, n) => writer.send(send(eves, 'eve', n))));
    const sends = Array.from({ length: 3 }, (_, n) => writer.send(send(anns, 'ann', n)));
    expect((await Promise.all(sends)).map(({ seq }) => seq)).toEqual([1, 2, 3]);
    const stored = (await flood).filter(({ status }) => status === 'fulfilled');
    expect(stored).toHaveLength(15);
  });
});
