/** The rows of deleted rooms are removed in batches, and are counted. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RoomPurge } from '../../src/retention/room-purge.ts';
import { rightsOf } from '../../src/protocol/permissions.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createWriter, makeRoom, send, silentLog, type TestWriter } from '../support/messaging.ts';
import { parseMetrics, total } from '../support/metrics.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let test: TestWriter;
const metrics = new Metrics();

beforeAll(async () => {
  database = await createTestDatabase();
  test = createWriter(database.sql);
});
afterAll(async () => {
  await test.writer.stop();
  await database.drop();
});

const counted = async (series: string): Promise<number> => total(parseMetrics(await metrics.text()), series);

it('counts the rooms, their messages, and the rounds that failed', async () => {
  const { sql } = database;
  for (const [room, messages] of [
    ['five', 5],
    ['none', 0],
    ['kept', 1],
  ] as const) {
    await makeRoom(sql, room, 'ann', 'ben');
    for (let n = 0; n < messages; n++) await test.writer.send(send(room, 'ann', { text: `w${n}` }));
  }
  for (const room of ['five', 'none']) {
    await sql`select delete_room(${room}, 'ann', ${rightsOf('delete')}::text::jsonb)`;
  }
  await sql`alter table deleted_rooms rename to away`;
  const purge = new RoomPurge({ sql, metrics, log: silentLog, batch: 2, pauseMs: 0 });
  await until('a round has failed', async () => (await counted('parley_room_purge_failures_total')) === 1);
  expect(await counted('parley_room_purge_messages_total')).toBe(0);

  await sql`alter table away rename to deleted_rooms`;
  purge.wake();
  await until('both are gone', async () => (await counted('parley_room_purges_total')) === 2);
  expect(await counted('parley_room_purge_messages_total')).toBe(5);
  await purge.stop();
  expect(await sql`select distinct room_id as id from messages`).toEqual([{ id: 'kept' }]);
});
