/**
 * The reads of each command with any statistics: entries of indices and rows of tables, counted by Postgres. The plans are made
 * in small tables, as on a new server, or after an analyze when every room had a few messages. The connection keeps them while
 * one room grows to 60,000. A wrong plan then reads all of the room. Times would show the same, but not on a busy machine.
 */
import { randomUUID } from 'node:crypto';
import type postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Changes } from '../../src/messages/changes.ts';
import { Pins } from '../../src/messages/pins.ts';
import { MemoryFanout } from '../../src/fanout/memory.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { dataSetMember, makeDataSet, type DataSet } from '../support/data-set.ts';
import { createWriter, send, silentLog } from '../support/messaging.ts';
import { readsOf } from '../support/reads.ts';
import { rowsRead } from '../support/rows-read.ts';

const grownTo = 60_000;
/** Far above what any page needs, far below the room. */
const most = 15_000;
const tables = [
  'messages',
  'message_search',
  'rooms',
  'members',
  'users',
  'mentions',
  'threads',
  'thread_follows',
  'reactions',
];

/** More messages in the largest room, of which the planner has no statistics. */
async function grow(sql: postgres.Sql, set: DataSet): Promise<void> {
  const [largest] = set.samples;
  if (largest === undefined) throw new Error('no rooms');
  await sql`
    insert into messages (room_id, seq, id, rev, sender_id, body, created_at, reply_to, thread)
    select r.id, r.last_seq + n, gen_random_uuid(), r.last_rev + n, ${dataSetMember(set, largest, 1)},
      jsonb_build_object('text', 'w0x grown ' || n), now() - interval '1 hour' + n * interval '10 ms',
      case when n % 10 = 0 then 1 end, case when n % 10 = 0 then 1 end
    from rooms r, generate_series(1, ${grownTo}::int) n where r.id = ${largest.id}`;
  await sql`update rooms set last_seq = last_seq + ${grownTo}, last_rev = last_rev + ${grownTo} where id = ${largest.id}`;
  // in steps: on a busy machine all at once is longer than a statement may take
  for (let more = true; more;) {
    const [step] = await sql<{ more: boolean }[]>`
      select more from index_messages(${[largest.id]}::text[], 'simple', 5000)`;
    more = step?.more ?? false;
  }
}

describe.each([
  ['as the migrations leave them', false],
  ['of rooms with a few messages each', true],
])('with statistics %s', (_, analyzed) => {
  let database: TestDatabase;
  let sql: postgres.Sql;
  let set: DataSet;
  beforeAll(async () => {
    database = await createTestDatabase({ poolSize: 1 });
    sql = database.sql;
    for (const table of tables) await sql`alter table ${sql(table)} set (autovacuum_enabled = off)`;
    set = await makeDataSet(sql, { messages: 4000 });
    if (analyzed) await sql`analyze`;
  }, 60_000);
  afterAll(() => database.drop());

  it('no command reads a room that has grown', { timeout: 120_000 }, async () => {
    const [largest] = set.samples;
    if (largest === undefined) throw new Error('no rooms');
    const owner = dataSetMember(set, largest, 0);
    const { writer } = createWriter(sql);
    const options = {
      sql,
      fanout: new MemoryFanout(() => undefined),
      metrics: new Metrics(),
      log: silentLog,
      writer,
      maxWaiting: 1000,
    };
    const changes = new Changes({ ...options, editWindowMs: 0 });
    const pins = new Pins(options);
    const { id: room } = largest;
    const seq = 3;
    let gone = 40;
    const sends = async (more: object = {}): Promise<unknown> => {
      const batch = Array.from({ length: 100 }, () => send(room, owner, 'x', { id: randomUUID(), ...more }));
      await Promise.all(batch.map((one) => writer.send(one)));
      // and again: they are found
      return Promise.all(batch.map((one) => writer.send(one)));
    };
    const writes: [string, () => Promise<unknown>][] = [
      ['message:send', () => sends()],
      ['message:send in a thread', () => sends({ replyTo: 1 })],
      [
        'message:send with a mention',
        () => sends({ mentions: { names: [[dataSetMember(set, largest, 2)]], everybody: true } }),
      ],
      [
        'message:edit',
        () => changes.make({ room, seq, user: owner, kind: 'edit', body: JSON.stringify(randomUUID()) }),
      ],
      ['reaction:add', () => changes.make({ room, seq, user: owner, kind: 'add', emoji: '👍' })],
      ['reaction:remove', () => changes.make({ room, seq, user: owner, kind: 'remove', emoji: '👍' })],
      ['message:pin', () => pins.make({ room, seq, user: owner, change: 'add' })],
      ['message:unpin', () => pins.make({ room, seq, user: owner, change: 'remove' })],
      ['message:delete', () => changes.make({ room, seq: ++gone, user: owner, kind: 'delete' })],
      ['read', () => sql`select * from mark_read(${JSON.stringify([{ r: room, u: owner, s: seq }])}::text::json)`],
    ];
    const reads = await readsOf(sql, set);
    const all = [...writes, ...reads.map(({ command, of, run }) => [`${command}: ${of}`, run] as const)];
    // often enough for a plan that ignores parameters
    for (const [, run] of all) for (let n = 0; n < 7; n++) await run();
    await grow(sql, set);
    const larger = {
      ...set,
      samples: set.samples.map((one) => (one === largest ? { ...one, messages: grownTo } : one)),
    };
    const again = (await readsOf(sql, larger, 2)).map(({ command, of, run }) => [`${command}: ${of}`, run] as const);
    const counts: [string, number][] = [];
    for (const [name, run] of [...writes, ...again]) counts.push([name, await rowsRead(sql, run)]);
    // last, because it removes the rows that the others read
    let first = 1;
    const expire = async (): Promise<void> => {
      await sql`select expire_messages(${room}, ${(first += 20)}::bigint, false)`;
      await sql`select delete_expired(${room}, 500)`;
    };
    for (let n = 0; n < 7; n++) counts.push([`retention, time ${n}`, await rowsRead(sql, expire)]);
    await Promise.all([changes.flush(), pins.flush()]);
    await writer.stop();
    if (process.env['PLANS_SHOW'] !== undefined) console.table(counts);
    expect(counts.filter(([, read]) => read > most)).toEqual([]);
  });
});
